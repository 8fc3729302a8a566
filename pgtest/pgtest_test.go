package pgtest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/pgtest"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
)

// tables returns those that are not Postgres's.
func tables(t *testing.T, db *sql.DB) (names []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT schemaname || '.' || tablename FROM pg_catalog.pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

func TestNew_TablesOfTheSets(t *testing.T) {
	t.Parallel()
	require.Empty(t, tables(t, pgtest.New(t)))
	webhook := tables(t, pgtest.New(t, migrations.Webhook))
	require.Contains(t, webhook, "booking_platform.payment_events")
	require.NotContains(t, webhook, "booking_platform.bookings")
	both := pgtest.New(t, migrations.Webhook, migrations.Auth)
	require.NoError(t, migrations.Check(t.Context(), both, migrations.Webhook|migrations.Auth))
	require.Error(t, migrations.Check(t.Context(), both, migrations.All))
}

// Both would refuse the other's in one database.
func TestNew_DatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	for range 4 {
		t.Run("one", func(t *testing.T) {
			t.Parallel()
			_, err := pgtest.New(t, migrations.Webhook).ExecContext(t.Context(), `CREATE TABLE public.mine (id int)`)
			require.NoError(t, err)
		})
	}
}

// Made once, and in every copy; through pgx.
func TestTemplate_OwnTablesAndDriver(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	databases := &pgtest.Template{Sets: migrations.Webhook, Driver: "pgx",
		Migrate: func(ctx context.Context, db *sql.DB) error {
			runs.Add(1)
			_, err := db.ExecContext(ctx, `CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL);
				INSERT INTO orders (id, status) VALUES (17, 'open')`)
			return err
		}}
	for range 4 {
		t.Run("one", func(t *testing.T) {
			t.Parallel()
			db := databases.New(t)
			require.Contains(t, tables(t, db), "booking_platform.payment_events")
			res, err := db.ExecContext(t.Context(), `UPDATE orders SET status = 'paid' WHERE status = 'open'`)
			require.NoError(t, err)
			n, err := res.RowsAffected()
			require.NoError(t, err)
			require.Equal(t, int64(1), n)
			require.Equal(t, "*stdlib.Driver", typeName(db.Driver()))
			require.Equal(t, int64(1), runs.Load())
		})
	}
}

// Postgres copies no database that has connections.
func TestTemplate_MigrationLeavesAConnection(t *testing.T) {
	t.Parallel()
	databases := &pgtest.Template{Migrate: func(ctx context.Context, db *sql.DB) error {
		var name string
		if err := db.QueryRowContext(ctx, `SELECT current_database()`).Scan(&name); err != nil {
			return err
		}
		u, err := url.Parse(pgtest.URL(t))
		if err != nil {
			return err
		}
		u.Path = "/" + name
		own, err := sql.Open("postgres", u.String())
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = own.Close() })
		_, err = own.ExecContext(ctx, `CREATE TABLE own (id int)`)
		return err
	}}
	require.Equal(t, []string{"public.own"}, tables(t, databases.New(t)))
}

// Every test fails with the reason, and the migration is not repeated.
func TestTemplate_MigrationFails(t *testing.T) {
	t.Parallel()
	var runs atomic.Int64
	databases := &pgtest.Template{Migrate: func(context.Context, *sql.DB) error {
		runs.Add(1)
		return errors.New("no such table: orders")
	}}
	for range 2 {
		f := &failing{TB: t}
		done := make(chan struct{})
		go func() { defer close(done); databases.New(f) }()
		<-done
		require.Contains(t, f.says, "Template.Migrate: no such table: orders")
	}
	require.Equal(t, int64(1), runs.Load())
}

func TestURL_DroppedWithItsTest(t *testing.T) {
	t.Parallel()
	var databaseURL string
	t.Run("one", func(t *testing.T) {
		databaseURL = pgtest.URL(t)
		// A connection that is still open when the test ends.
		db, err := sql.Open("postgres", databaseURL)
		require.NoError(t, err)
		_, err = db.Conn(t.Context())
		require.NoError(t, err)
	})
	if os.Getenv("TEST_DATABASE_URL") == "" {
		u, err := url.Parse(databaseURL)
		require.NoError(t, err)
		require.Equal(t, "disable", u.Query().Get("sslmode"))
	}
	gone, err := sql.Open("postgres", databaseURL)
	require.NoError(t, err)
	defer func() { _ = gone.Close() }()
	var state interface{ SQLState() string }
	require.ErrorAs(t, gone.PingContext(t.Context()), &state)
	require.Equal(t, "3D000", state.SQLState(), "there is no such database")
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }

type failing struct {
	testing.TB
	says string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.says = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestClusterFolder_InMemoryOnlyWithRoom(t *testing.T) {
	t.Parallel()
	memory := t.TempDir()
	for name, test := range map[string]struct {
		memory string
		free   uint64
		err    error
		used   bool
	}{
		"enough room":      {memory, 2 << 30, nil, true},
		"container's 64MB": {memory, 64 << 20, nil, false},
		"not in memory":    {memory, 8 << 30, errors.New("not in memory"), false},
		"not writable":     {filepath.Join(memory, "missing"), 8 << 30, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, described, err := pgtest.ClusterFolder(test.memory,
				func(string) (uint64, error) { return test.free, test.err })
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			require.DirExists(t, dir)
			if test.used {
				require.Equal(t, memory, filepath.Dir(dir))
				require.Equal(t, "data in memory ("+memory+")", described)
			} else {
				require.NotEqual(t, memory, filepath.Dir(dir))
				require.Equal(t, "data in "+filepath.Dir(dir), described)
			}
		})
	}
}

// holdVariable makes this test binary one that a test watches.
const holdVariable = "PGTEST_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) != "" {
		pgtest.Main(pgtest.Hold{})
	}
	pgtest.Main(m)
}
