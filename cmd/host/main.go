// Command host runs booking-platform: the booking page, the JSON API and Stripe's
// webhook, on one Postgres. See `host help`.
package main

import (
	"context"
	"os"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/internal/pgenv"

	// Images may lack time zones.
	_ "time/tzdata"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	environ := env.ToMap(os.Environ())
	pgenv.Clear()
	// Started from the Explorer of Windows, host serves too.
	cobra.MousetrapHelpText = ""
	os.Exit(run(context.Background(), os.Args[1:], environ, os.Stdin, os.Stdout, os.Stderr))
}
