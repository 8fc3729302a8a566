package pgtest

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq" // The driver "postgres".

	"github.com/booking-platform/booking-platform/migrations"
)

// Runner is a [testing.M].
type Runner interface{ Run() int }

// Main runs the tests of a package, stops the server, and exits. Call it from TestMain.
func Main(m Runner) {
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest: stop:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// New returns a new database with the tables of the sets, none without a set, through
// lib/pq. It is closed and dropped when the test ends, also if connections are open. It
// fails the test if there is no Postgres.
func New(t testing.TB, sets ...migrations.Set) *sql.DB {
	t.Helper()
	return templateOf(sets).New(t)
}

// URL is [New] for programs that connect themselves: postgres://…?sslmode=disable.
func URL(t testing.TB, sets ...migrations.Set) string {
	t.Helper()
	return templateOf(sets).URL(t)
}

// Template is a database that is made once per test binary, when a test first needs it,
// and copied for each test. Declare it as a variable of the test package:
//
//	var databases = pgtest.Template{Sets: migrations.Payments, Migrate: createOrders}
//
// The zero value is an empty database. It is safe for concurrent use and must not be
// copied after its first use.
type Template struct {
	// Sets are created first, by [migrations.Up]. Zero means none.
	Sets migrations.Set

	// Migrate then creates the service's own tables, and rows that every test starts
	// with, within five minutes.
	Migrate func(ctx context.Context, db *sql.DB) error

	// Driver is the database/sql driver of New and Migrate. Empty means "postgres",
	// lib/pq; for "pgx" import github.com/jackc/pgx/v5/stdlib.
	Driver string

	once sync.Once
	name string
	err  error
}

// New returns a copy, closed and dropped when the test ends.
func (tp *Template) New(t testing.TB) *sql.DB {
	t.Helper()
	databaseURL := tp.URL(t)
	db, err := sql.Open(cmp.Or(tp.Driver, "postgres"), databaseURL)
	if err != nil {
		t.Fatalf("pgtest: open: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// URL returns the URL of a copy, postgres://…?sslmode=disable, for lib/pq and pgx. The
// database is dropped when the test ends, with its connections.
func (tp *Template) URL(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("pgtest: no Postgres to test with: %v", err)
	}
	tp.once.Do(func() { tp.name, tp.err = s.makeTemplate(tp) })
	if tp.err != nil {
		t.Fatalf("pgtest: migrate the template: %v", tp.err)
	}
	return s.clone(t, tp.name)
}

var (
	bySetsMu sync.Mutex
	bySets   = map[migrations.Set]*Template{}
)

func templateOf(sets []migrations.Set) *Template {
	var all migrations.Set
	for _, set := range sets {
		all |= set
	}
	bySetsMu.Lock()
	defer bySetsMu.Unlock()
	if bySets[all] == nil {
		bySets[all] = &Template{Sets: all}
	}
	return bySets[all]
}

const migrateTimeout = 5 * time.Minute

func (tp *Template) migrate(ctx context.Context, databaseURL string) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	db, err := sql.Open(cmp.Or(tp.Driver, "postgres"), databaseURL)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if tp.Sets != 0 {
		if _, err := migrations.Up(ctx, db, tp.Sets); err != nil {
			return err
		}
	}
	if tp.Migrate != nil {
		if err := tp.Migrate(ctx, db); err != nil {
			return fmt.Errorf("Template.Migrate: %w", err)
		}
	}
	return db.Close()
}
