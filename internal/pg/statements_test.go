package pg_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestStatements_PrepareAndNote(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.EmptyURL(t), "a prepared statement is the session's"))
	s := pg.NewStatements(db, 4)
	value := func(stmt *sql.Stmt) (n int) {
		require.NotNil(t, stmt)
		require.NoError(t, stmt.QueryRowContext(t.Context()).Scan(&n))
		return n
	}
	require.Nil(t, s.Get(`SELECT 1`))
	stmt, err := s.Prepare(t.Context(), `SELECT 1`)
	require.NoError(t, err)
	require.Equal(t, 1, value(stmt))
	require.Same(t, stmt, s.Get(`SELECT 1`))

	require.Nil(t, s.Note(`SELECT 2`))
	require.Nil(t, s.Note(`SELECT 2; SELECT 3`))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.PrepareNoted(ended)
	require.Nil(t, s.Note(`SELECT 2`), "an error that is not the statement's: tried again")
	s.PrepareNoted(t.Context())
	require.Equal(t, 2, value(s.Note(`SELECT 2`)))
	require.Nil(t, s.Get(`SELECT 2; SELECT 3`), "cannot be prepared")

	_, err = s.Prepare(t.Context(), `SELEC 4`)
	require.Error(t, err)
	stmt, err = s.Prepare(t.Context(), `SELECT 4`)
	require.NoError(t, err)
	require.Equal(t, 4, value(stmt), "the failed one takes no place")
	stmt, err = s.Prepare(t.Context(), `SELECT 5`)
	require.NoError(t, err)
	require.Nil(t, stmt, "over the limit")
	require.Nil(t, s.Note(`SELECT 6`))
}
