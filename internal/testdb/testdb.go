package testdb

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // The driver "pgx".
	_ "github.com/lib/pq"              // The driver "postgres".
	"github.com/stretchr/testify/require"
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

// Driver is a database/sql driver and the way it talks to the server.
type Driver string

// The drivers that an embedder may bring, and their modes: each sends parameters and
// reads results in its own way.
const (
	PQ        Driver = "pq"
	PQBinary  Driver = "pq-binary"
	PGX       Driver = "pgx"
	PGXExec   Driver = "pgx-exec"
	PGXSimple Driver = "pgx-simple"
)

// Drivers lists all of them; with a pooler, those that work behind one.
var Drivers = drivers()

func drivers() []Driver {
	if pooled() {
		return []Driver{PQBinary, PGXExec, PGXSimple}
	}
	return []Driver{PQ, PQBinary, PGX, PGXExec, PGXSimple}
}

// behindPooler is the mode in place of one that parses a statement in one go and runs it
// in the next: behind a pooler in transaction mode another connection may run it.
var behindPooler = map[Driver]Driver{PQ: PQBinary, PGX: PGXExec}

// The name under which each driver is registered, and the parameter of the URL that
// chooses its mode.
var registered = map[Driver]struct{ name, key, value string }{
	PQ:        {name: "postgres"},
	PQBinary:  {"postgres", "binary_parameters", "yes"},
	PGX:       {name: "pgx"},
	PGXExec:   {"pgx", "default_query_exec_mode", "exec"},
	PGXSimple: {"pgx", "default_query_exec_mode", "simple_protocol"},
}

// Open opens a database through a driver, and closes it when the test ends. By way of a
// pooler PQ is PQBinary, and PGX is PGXExec.
func Open(t testing.TB, d Driver, databaseURL string) *sql.DB {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	if other, ok := behindPooler[d]; ok && overPooler(u) {
		d = other
	}
	driver, ok := registered[d]
	require.True(t, ok, "testdb: no driver %q", d)
	if driver.key != "" {
		query := u.Query()
		query.Set(driver.key, driver.value)
		u.RawQuery = query.Encode()
	}
	db, err := sql.Open(driver.name, u.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// EachDriver runs f once per driver, as parallel subtests, each on a clone of its own.
func EachDriver(t *testing.T, f func(t *testing.T, db *sql.DB)) {
	eachDriver(t, URL, f)
}

// EachDriverDirect is EachDriver by way of no pooler, as [Direct].
func EachDriverDirect(t *testing.T, why string, f func(t *testing.T, db *sql.DB)) {
	eachDriver(t, func(t testing.TB) string { return Direct(t, URL(t), why) }, f)
}

func eachDriver(t *testing.T, databaseURL func(testing.TB) string, f func(t *testing.T, db *sql.DB)) {
	for _, d := range Drivers {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f(t, Open(t, d, databaseURL(t)))
		})
	}
}
