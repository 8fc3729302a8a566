package pg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// gateSQL is a table whose COMMIT waits for a lock of the test, as for a synchronous
// standby.
const gateSQL = `
CREATE TABLE public.notes (id int PRIMARY KEY);
CREATE FUNCTION public.wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock_shared(7);
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER wait_at_gate AFTER INSERT ON public.notes DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION public.wait_at_gate();`

const insertSQL = `INSERT INTO public.notes (id) VALUES ($1::int)`

// closedGate makes every COMMIT after an insert wait until open.
func closedGate(t *testing.T) (db *sql.DB, open func()) {
	t.Helper()
	url := testdb.EmptyURL(t)
	db = testdb.Open(t, testdb.PQ, url)
	_, err := db.ExecContext(t.Context(), gateSQL)
	require.NoError(t, err)
	other := testdb.Open(t, testdb.PQ, url)
	tx, err := other.BeginTx(context.WithoutCancel(t.Context()), nil)
	require.NoError(t, err)
	_, err = tx.ExecContext(t.Context(), `SELECT pg_advisory_xact_lock(7)`)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return db, func() { require.NoError(t, tx.Rollback()) }
}

func notes(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM public.notes`).Scan(&n))
	return n
}

func atGate(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var waiting int
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted`).Scan(&waiting)
		return err == nil && waiting == n
	}, 30*time.Second, 5*time.Millisecond)
}

func insert(ctx context.Context, db *sql.DB, id int) error {
	return pg.InTx(ctx, db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, insertSQL, id)
		return err
	})
}

// M33: The caller gets ErrUnconfirmed, and the commit succeeds later.
func TestInTx_ContextEndsDuringCommit(t *testing.T) {
	t.Parallel()
	db, open := closedGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- insert(ctx, db, 1) }()
	atGate(t, db, 1)
	cancel()
	err := <-answer
	require.ErrorIs(t, err, pg.ErrUnconfirmed)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, notes(t, db))
	open()
	require.Eventually(t, func() bool { return notes(t, db) == 1 }, 30*time.Second, 5*time.Millisecond)
}

// M33: The same for a statement that commits by itself.
func TestWrite_ContextEndsDuringCommit(t *testing.T) {
	t.Parallel()
	db, open := closedGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := pg.Exec(ctx, db, insertSQL, 1)
		answer <- err
	}()
	atGate(t, db, 1)
	cancel()
	require.ErrorIs(t, <-answer, pg.ErrUnconfirmed)
	open()
	require.Eventually(t, func() bool { return notes(t, db) == 1 }, 30*time.Second, 5*time.Millisecond)
}

func TestCommit_ContextEndedBefore(t *testing.T) {
	t.Parallel()
	db, open := closedGate(t)
	open()
	for name, commit := range map[string]func(*pg.Tx, context.Context) error{"Commit": (*pg.Tx).Commit,
		"CommitWait": (*pg.Tx).CommitWait} {
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := pg.Begin(ctx, db)
		require.NoError(t, err)
		_, err = tx.ExecContext(ctx, insertSQL, 1)
		require.NoError(t, err)
		cancel()
		_, err = tx.ExecContext(t.Context(), insertSQL, 2)
		require.NoError(t, err, "the end of the context does not end the transaction")
		require.ErrorIs(t, commit(tx, ctx), context.Canceled, name)
		require.Zero(t, notes(t, db), name)
		require.ErrorIs(t, tx.Rollback(), sql.ErrTxDone)
		require.Zero(t, db.Stats().InUse)
	}
}

func TestBegin_IsReadCommitted(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	_, err := db.ExecContext(t.Context(), `SET default_transaction_isolation = 'serializable'`)
	require.NoError(t, err)
	var level string
	require.NoError(t, pg.InTx(t.Context(), db, func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT current_setting('transaction_isolation')`).Scan(&level)
	}))
	require.Equal(t, "read committed", level)
}

func TestBegin_ContextEndsBeforeAConnectionIsFree(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := pg.Begin(ctx, db)
		answer <- err
	}()
	require.Eventually(t, func() bool { return db.Stats().WaitCount == 1 }, 30*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-answer, context.Canceled)
	require.NoError(t, conn.Close())
	require.NoError(t, pg.InTx(t.Context(), db, func(*sql.Tx) error { return nil }), "its slot is free again")
}

func TestInTx_ErrorAndPanicRollBack(t *testing.T) {
	t.Parallel()
	db, open := closedGate(t)
	open()
	failure := errors.New("not this one")
	require.ErrorIs(t, pg.InTx(t.Context(), db, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), insertSQL, 1)
		require.NoError(t, err)
		return failure
	}), failure)
	require.Panics(t, func() {
		_ = pg.InTx(t.Context(), db, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), insertSQL, 1)
			require.NoError(t, err)
			panic("handler")
		})
	})
	require.Zero(t, notes(t, db))
	require.Zero(t, db.Stats().InUse)
}

// panicking is a driver whose statements and COMMIT panic.
type panicking struct{ driver.Conn }

func (p panicking) Connect(context.Context) (driver.Conn, error)                 { return p, nil }
func (panicking) Driver() driver.Driver                                          { return nil }
func (panicking) Close() error                                                   { return nil }
func (p panicking) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) { return p, nil }
func (panicking) Commit() error                                                  { panic("out of tea") }
func (panicking) Rollback() error                                                { return nil }
func (panicking) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	panic("out of tea")
}

// A driver that panics ends neither the process nor the slot of a write, which is one of
// three here.
func TestWrite_DriverPanics(t *testing.T) {
	t.Parallel()
	db := sql.OpenDB(panicking{})
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(3)
	for range 4 {
		require.Panics(t, func() { _, _ = pg.Exec(t.Context(), db, "SELECT") })
	}
	db.SetMaxOpenConns(0) // database/sql keeps the connection of a COMMIT that panicked.
	for range 4 {
		require.Panics(t, func() { _ = pg.InTx(t.Context(), db, func(*sql.Tx) error { return nil }) })
	}
	tx, err := pg.Begin(t.Context(), db)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback())
}

func TestSQLState_WrappedError(t *testing.T) {
	t.Parallel()
	require.Equal(t, "42P01", pg.SQLState(fmt.Errorf("list: %w", &pq.Error{Code: "42P01"})))
	require.Empty(t, pg.SQLState(errors.New("no database's")))
	require.Empty(t, pg.SQLState(nil))
}

func TestRead_ContextEnds(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := pg.Read(ctx, db, func(ctx context.Context, q pg.Querier) (n int, err error) {
		return n, q.QueryRowContext(ctx, `SELECT 1`).Scan(&n)
	})
	require.ErrorIs(t, err, context.Canceled)
}

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

func TestMain(m *testing.M) { testdb.Main(m) }
