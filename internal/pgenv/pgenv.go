// Package pgenv removes libpq's environment variables for programs that configure their
// connections themselves. Drivers read them: PGSERVICE redirects lib/pq to another
// database, PGDATESTYLE and PGCHANNELBINDING make it refuse connections, PGOPTIONS
// changes what statements mean.
package pgenv

import (
	"os"
	"regexp"
)

// Two of them only lib/pq spells like this.
var variables = regexp.MustCompile(`^(PG[A-Z_]+|SSLPGM(IN|AX)PROTOCOLVERSION)=`)

// Clear removes them from this process's environment. Call it before connecting.
func Clear() {
	for _, pair := range os.Environ() {
		if m := variables.FindString(pair); m != "" {
			_ = os.Unsetenv(m[:len(m)-1])
		}
	}
}
