package testdb_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
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
	databaseURL := testdb.EmptyURL(t)
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
	require.NoError(t, testdb.Empty(t).QueryRowContext(t.Context(), `SELECT to_regnamespace('booking_platform')::text`).Scan(&schema))
	require.False(t, schema.Valid)
	require.NoError(t, testdb.New(t).QueryRowContext(t.Context(), `SELECT to_regnamespace('booking_platform')::text`).Scan(&schema))
	require.True(t, schema.Valid)
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
		// Somebody who is still connected when the test ends: a program that the test has started, say.
		db, err := sql.Open("postgres", databaseURL)
		require.NoError(t, err)
		_, err = db.Conn(t.Context())
		require.NoError(t, err)
	})
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	require.Equal(t, "disable", u.Query().Get("sslmode"))
	err = testdb.Open(t, testdb.PQ, databaseURL).PingContext(t.Context())
	var state interface{ SQLState() string }
	require.True(t, errors.As(err, &state), "%v", err)
	require.Equal(t, "3D000", state.SQLState(), "there is no such database")
}
