// Package pgenv removes libpq's environment variables for programs that configure their
// connections themselves. Drivers read them on their own: PGSERVICE redirects lib/pq to
// another database, PGDATESTYLE and PGCHANNELBINDING make it refuse connections, and
// PGOPTIONS changes what statements mean.
package pgenv

import (
	"os"
	"regexp"
)

// variables are those of libpq, and two that only lib/pq spells like this.
var variables = regexp.MustCompile(`^(PG[A-Z_]+|SSLPGM(IN|AX)PROTOCOLVERSION)=`)

// Clear removes the variables from the environment of this process and its future
// children. Call it before connecting.
func Clear() {
	for _, pair := range os.Environ() {
		if m := variables.FindString(pair); m != "" {
			_ = os.Unsetenv(m[:len(m)-1])
		}
	}
}
