package testdb

import (
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // The driver "pgx".
	_ "github.com/lib/pq"              // The driver "postgres".
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/pgtest"
)

// Runner is a [testing.M].
type Runner = pgtest.Runner

// Parallel lets three tests per processor run at once. Call it from TestMain if the tests
// of a package mostly wait.
func Parallel() {
	if err := flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))); err != nil {
		panic(err) // Only without package testing.
	}
}

// Main runs the tests of a package, stops the server and the pooler if they were started,
// and exits. Call it from TestMain.
func Main(m Runner) { pgtest.Main(withPooler{m}) }

type withPooler struct{ Runner }

func (m withPooler) Run() int {
	code := m.Runner.Run()
	if err := stopPooler(); err != nil {
		fmt.Fprintln(os.Stderr, "testdb: stop:", err)
		code = max(code, 1)
	}
	return code
}

// New returns a new database with all migrations, through lib/pq. It is closed and
// dropped when the test ends.
func New(t testing.TB) *sql.DB {
	t.Helper()
	return Open(t, PQ, URL(t))
}

// Example returns a database with all migrations for an Example, which has no test: a
// failure panics. The caller calls end at the end.
func Example() (db *sql.DB, end func()) {
	e := &exampleTB{}
	return New(e), func() {
		for n := len(e.cleanups) - 1; n >= 0; n-- {
			e.cleanups[n]()
		}
	}
}

type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                           {}
func (e *exampleTB) Cleanup(f func())                { e.cleanups = append(e.cleanups, f) }
func (*exampleTB) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Empty returns a new database without a schema of this project, through lib/pq. It is
// closed and dropped when the test ends.
func Empty(t testing.TB) *sql.DB {
	t.Helper()
	return Open(t, PQ, EmptyURL(t))
}

// URL is [New] for programs that connect themselves. It returns a URL such as
// postgres://…?sslmode=disable, for lib/pq and pgx. The database is dropped when the test
// ends, with its connections.
func URL(t testing.TB) string {
	t.Helper()
	return pooledURL(t, pgtest.URL(t, migrations.All))
}

// EmptyURL is [Empty] for programs that connect themselves.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return pooledURL(t, pgtest.URL(t))
}

// Driver is a database/sql driver in one of its modes.
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

// Drivers lists all drivers; with a pooler, those that work behind one.
var Drivers = drivers()

func drivers() []Driver {
	if pooled() {
		return []Driver{PQBinary, PGXExec, PGXSimple}
	}
	return []Driver{PQ, PQBinary, PGX, PGXExec, PGXSimple}
}

// behindPooler replaces modes that parse a statement in one round trip and execute it in
// the next: a pooler in transaction mode may use another connection for that.
var behindPooler = map[Driver]Driver{PQ: PQBinary, PGX: PGXExec}

var registered = map[Driver]struct{ name, key, value string }{
	PQ:        {name: "postgres"},
	PQBinary:  {"postgres", "binary_parameters", "yes"},
	PGX:       {name: "pgx"},
	PGXExec:   {"pgx", "default_query_exec_mode", "exec"},
	PGXSimple: {"pgx", "default_query_exec_mode", "simple_protocol"},
}

// Open opens a database through a driver and closes it when the test ends. With a pooler,
// PQ is PQBinary and PGX is PGXExec.
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

// EachDriver runs f once per driver, as parallel subtests, each with its own database.
func EachDriver(t *testing.T, f func(t *testing.T, db *sql.DB)) {
	eachDriver(t, URL, f)
}

// EachDriverDirect is EachDriver without the pooler; see [Direct].
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

// Program returns the path of one of Postgres's programs, such as pg_dump: that on PATH, or
// the newest of this machine.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	require.NoError(t, err)
	require.NotEmpty(t, found, "%s is not on this machine: install postgresql", name)
	return found[len(found)-1]
}
