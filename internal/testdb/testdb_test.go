package testdb_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
)

func TestEveryDriverGetsAMigratedClone(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		require.NoError(t, migrations.Check(t.Context(), db, migrations.All))
	})
}

// Each mode is known by something that it alone takes or refuses, so it is really on.
func TestEveryDriverIsInItsMode(t *testing.T) {
	t.Parallel()
	databaseURL := testdb.Direct(t, testdb.EmptyURL(t),
		"two of the modes prepare a statement in one go and run it in the next")
	works := map[bool]string{true: "works", false: "fails"}
	for driver, want := range map[testdb.Driver]struct{ driver, jsonBytes, twoStatements string }{
		testdb.PQ:        {"*pq.Driver", "works", "fails"},
		testdb.PQBinary:  {"*pq.Driver", "fails", "fails"},
		testdb.PGX:       {"*stdlib.Driver", "works", "fails"},
		testdb.PGXExec:   {"*stdlib.Driver", "fails", "fails"},
		testdb.PGXSimple: {"*stdlib.Driver", "fails", "works"},
	} {
		db := testdb.Open(t, driver, databaseURL)
		require.Equal(t, want.driver, fmt.Sprintf("%T", db.Driver()))
		_, err := db.ExecContext(t.Context(), `SELECT $1::jsonb`, []byte(`{}`))
		require.Equal(t, want.jsonBytes, works[err == nil], "%s: bytes as JSON: %v", driver, err)
		_, err = db.ExecContext(t.Context(), `SELECT $1::int; SELECT 2`, 1)
		require.Equal(t, want.twoStatements, works[err == nil], "%s: two statements: %v", driver, err)
	}
}

func TestEmptyHasNothingOfOurs(t *testing.T) {
	t.Parallel()
	var schema sql.NullString
	require.NoError(t, testdb.Empty(t).QueryRowContext(t.Context(),
		`SELECT to_regnamespace('booking_platform')::text`).Scan(&schema))
	require.False(t, schema.Valid)
	require.NoError(t, testdb.New(t).QueryRowContext(t.Context(),
		`SELECT to_regnamespace('booking_platform')::text`).Scan(&schema))
	require.True(t, schema.Valid)
}

// With TEST_DATABASE_POOLER every test goes by way of a pooler, which gives a connection
// to another after each transaction; a test that names why does not.
func TestPoolerIsInFront(t *testing.T) {
	t.Parallel()
	b := start(t, "TEST_DATABASE_WAY=programs", "TEST_DATABASE_POOLER=odyssey")
	require.Contains(t, b.says, `TEST_DATABASE_POOLER is "odyssey": it is pgbouncer`)
	require.Error(t, b.end())
	if os.Getenv("TEST_DATABASE_POOLER") == "" {
		databaseURL := testdb.EmptyURL(t)
		require.Equal(t, databaseURL, testdb.Direct(t, databaseURL, "nothing is in front"))
		return
	}
	databaseURL := testdb.EmptyURL(t)
	require.Error(t, keeps(t, databaseURL), "somebody else's connection has no such setting")
	require.NoError(t, keeps(t, testdb.Direct(t, databaseURL, "a setting of the session is kept")))
}

// keeps sets something for a session, has another one take a connection, and looks
// whether it is still set.
func keeps(t *testing.T, databaseURL string) error {
	t.Helper()
	db := testdb.Open(t, testdb.PQ, databaseURL)
	session, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer session.Close()
	_, err = session.ExecContext(t.Context(), `SET test.mark = 'ours'`)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `SELECT 1`)
	require.NoError(t, err)
	return session.QueryRowContext(t.Context(), `SELECT current_setting('test.mark')`).Scan(new(string))
}

func TestManyTestsAtOnceShareNothing(t *testing.T) {
	t.Parallel()
	for range 12 {
		t.Run("one", func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			_, err := db.ExecContext(t.Context(), `CREATE TABLE public.mine (id int)`)
			require.NoError(t, err)
		})
	}
}

func TestDatabaseEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var databaseURL string
	t.Run("one", func(t *testing.T) {
		databaseURL = testdb.URL(t)
		// Somebody who is still connected when the test ends: a program that the test has
		// started, say.
		db, err := sql.Open("postgres", databaseURL)
		require.NoError(t, err)
		_, err = db.Conn(t.Context())
		require.NoError(t, err)
	})
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	require.Equal(t, "disable", u.Query().Get("sslmode"))
	gone := testdb.Direct(t, databaseURL, "a pooler has who asks for what is not there wait")
	err = testdb.Open(t, testdb.PQ, gone).PingContext(t.Context())
	var state interface{ SQLState() string }
	require.True(t, errors.As(err, &state), "%v", err)
	require.Equal(t, "3D000", state.SQLState(), "there is no such database")
}
