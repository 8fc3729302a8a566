// Package pgenv keeps the variables of libpq from a program that says itself how it
// connects. Drivers read them without being asked: PGSERVICE leads lib/pq to another
// database than its URL names, PGDATESTYLE and PGCHANNELBINDING make it refuse every
// connection, and PGOPTIONS changes what a statement means.
package pgenv

import (
	"os"
	"regexp"
)

// variables are those of libpq, and two that lib/pq spells in its own way.
var variables = regexp.MustCompile(`^(PG[A-Z_]+|SSLPGM(IN|AX)PROTOCOLVERSION)=`)

// Clear takes the variables out of the environment of this process, before it connects.
// Processes that it starts do not have them either.
func Clear() {
	for _, pair := range os.Environ() {
		if m := variables.FindString(pair); m != "" {
			_ = os.Unsetenv(m[:len(m)-1])
		}
	}
}
