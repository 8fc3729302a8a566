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

func TestEachDriver_MigratedDatabase(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		require.NoError(t, migrations.Check(t.Context(), db, migrations.All))
	})
}

// Each mode is recognised by what only that mode accepts or refuses.
func TestOpen_ModeOfTheDriver(t *testing.T) {
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

func TestEmpty_HasNoSchema(t *testing.T) {
	t.Parallel()
	var schema sql.NullString
	require.NoError(t, testdb.Empty(t).QueryRowContext(t.Context(),
		`SELECT to_regnamespace('booking_platform')::text`).Scan(&schema))
	require.False(t, schema.Valid)
	require.NoError(t, testdb.New(t).QueryRowContext(t.Context(),
		`SELECT to_regnamespace('booking_platform')::text`).Scan(&schema))
	require.True(t, schema.Valid)
}

// A pooler gives a connection to another client after each transaction, unless a test
// connects directly.
func TestDirect_PoolerIsInFront(t *testing.T) {
	t.Parallel()
	require.NoError(t, testdb.CheckPooler("pgbouncer"))
	require.ErrorContains(t, testdb.CheckPooler("odyssey"), `TEST_DATABASE_POOLER is "odyssey": it is pgbouncer`)
	if os.Getenv("TEST_DATABASE_POOLER") == "" {
		databaseURL := testdb.EmptyURL(t)
		require.Equal(t, databaseURL, testdb.Direct(t, databaseURL, "nothing is in front"))
		return
	}
	databaseURL := testdb.EmptyURL(t)
	require.Error(t, keeps(t, databaseURL), "the setting is on another connection")
	require.NoError(t, keeps(t, testdb.Direct(t, databaseURL, "a setting of the session is kept")))
}

// keeps sets a session variable, has another session take a connection, and reads the
// variable.
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

func TestNew_DatabasesAreSeparate(t *testing.T) {
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

func TestURL_DroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var databaseURL string
	t.Run("one", func(t *testing.T) {
		databaseURL = testdb.URL(t)
		// A connection that is still open when the test ends.
		db, err := sql.Open("postgres", databaseURL)
		require.NoError(t, err)
		_, err = db.Conn(t.Context())
		require.NoError(t, err)
	})
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	require.Equal(t, "disable", u.Query().Get("sslmode"))
	gone := testdb.Direct(t, databaseURL, "a pooler lets clients of a missing database wait")
	err = testdb.Open(t, testdb.PQ, gone).PingContext(t.Context())
	var state interface{ SQLState() string }
	require.True(t, errors.As(err, &state), "%v", err)
	require.Equal(t, "3D000", state.SQLState(), "there is no such database")
}
