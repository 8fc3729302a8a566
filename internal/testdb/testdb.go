package testdb

import (
	"database/sql"
	"fmt"
	"os"
	"testing"
)

// Runner is what [Main] needs of a [testing.M].
type Runner interface{ Run() int }

// Main runs the tests of a package, stops the server that they started, if any, and
// exits. Call it from TestMain.
func Main(m Runner) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "testdb: stop:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// New returns a fresh database with the schema of every migration, through lib/pq. It is
// closed and dropped when the test ends.
func New(t testing.TB) *sql.DB {
	t.Helper()
	return Open(t, PQ, URL(t))
}

// Empty returns a fresh database without any schema of ours, through lib/pq. It is closed
// and dropped when the test ends.
func Empty(t testing.TB) *sql.DB {
	t.Helper()
	return Open(t, PQ, EmptyURL(t))
}

// URL is [New] for programs that connect themselves: a URL such as
// postgres://…?sslmode=disable, which lib/pq and pgx both take. The database is dropped
// when the test ends, whoever is still connected.
func URL(t testing.TB) string {
	t.Helper()
	return clone(t, true)
}

// EmptyURL is [Empty] for programs that connect themselves.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return clone(t, false)
}
