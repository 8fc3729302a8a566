package pg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/pg"
)

func TestWatch_Suspect(t *testing.T) {
	t.Parallel()
	for query, suspect := range map[string]bool{
		"":                                 false,
		"--":                               false,
		";;":                               false,
		"SELECT 1":                         false,
		"SELECT CASE WHEN true THEN 1 END": false,
		"-- name: Get :one\nSELECT 1; ":    false,
		"SAVEPOINT a":                      false,
		"BEGIN":                            false, // A warning, in a transaction.
		"COMMIT":                           true,
		" \n\tcommit":                      true,
		"-- a\n-- b\n\vEND":                true,
		"/* a */ COMMIT":                   true,
		"SELECT 1;rollback":                true,
		"SELECT 1; -- a\n abort":           true,
		"PREPARE TRANSACTION 'a'":          true,
		"ROLLBACK TO a":                    true, // Errs towards true.
		"SELECT '; commit'":                true,
	} {
		var w pg.Watch
		w.Sent(query)
		require.Equal(t, suspect, w.Suspect(), query)
	}
}
