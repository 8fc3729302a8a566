package booking_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A transaction of the caller's, and how it ends.
type callersTx struct {
	booking.Querier
	commit, rollback func() error
}

// The ways in which a caller may have begun a transaction.
var begins = map[string]struct {
	driver testdb.Driver
	begin  func(t *testing.T, db *sql.DB) callersTx
}{
	"sql.Tx": {testdb.PQ, func(t *testing.T, db *sql.DB) callersTx {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		return callersTx{tx, tx.Commit, tx.Rollback}
	}},
	"sqlx.Tx with a mapper of its own": {testdb.PQBinary, func(t *testing.T, db *sql.DB) callersTx {
		wrapped := sqlx.NewDb(db, "no driver that sqlx knows")
		wrapped.MapperFunc(strings.ToUpper)
		tx, err := wrapped.BeginTxx(t.Context(), nil)
		require.NoError(t, err)
		return callersTx{tx, tx.Commit, tx.Rollback}
	}},
	"native pgx on the same connection": {testdb.PGX, func(t *testing.T, db *sql.DB) callersTx {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		var tx pgx.Tx
		native := func(f func(*pgx.Conn) error) error {
			return conn.Raw(func(driver any) error { return f(driver.(*stdlib.Conn).Conn()) })
		}
		require.NoError(t, native(func(c *pgx.Conn) (err error) {
			tx, err = c.Begin(t.Context())
			return err
		}))
		return callersTx{
			conn,
			func() error { return native(func(*pgx.Conn) error { return tx.Commit(context.Background()) }) },
			func() error { return native(func(*pgx.Conn) error { return tx.Rollback(context.Background()) }) },
		}
	}},
}

func TestJoiningACallersTransaction(t *testing.T) {
	t.Parallel()
	for name, way := range begins {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.Open(t, way.driver, testdb.URL(t))
			store := newStore(t, db)
			create(t, store)
			taken := hold(t, store, request(slot(9)))
			exec(t, db, `CREATE TABLE orders (booking_id uuid REFERENCES booking_platform.bookings (id))`)
			const insertOrder = `INSERT INTO orders (booking_id) VALUES ($1::uuid)`

			tx := way.begin(t, db)
			b, err := store.Tx(tx).Hold(t.Context(), request(slot(0)))
			require.NoError(t, err)
			exec(t, tx, insertOrder, b.ID)
			_, err = store.Get(t.Context(), b.ID)
			require.ErrorIs(t, err, booking.ErrNotFound, "not committed yet")
			require.NoError(t, tx.rollback())
			_, err = store.Get(t.Context(), b.ID)
			require.ErrorIs(t, err, booking.ErrNotFound, "rolled back")
			require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.hold_deadlines`))

			tx = way.begin(t, db)
			joined := store.Tx(tx)
			_, err = joined.Hold(t.Context(), request(slot(9)))
			require.ErrorIs(t, err, booking.ErrSlotTaken)
			_, err = joined.Hold(t.Context(), request(slot(0).Add(time.Minute)))
			requireFields(t, err, "start")
			_, err = joined.Confirm(t.Context(), "019a2b3c-0000-7000-8000-000000000000")
			require.ErrorIs(t, err, booking.ErrNotFound)
			_, err = joined.Release(t.Context(), taken.ID)
			require.NoError(t, err)
			_, err = joined.Release(t.Context(), taken.ID)
			require.ErrorAs(t, err, new(*booking.StatusError))
			b, err = joined.Hold(t.Context(), request(slot(9)))
			require.NoError(t, err, "a refused transaction goes on, and sees what it released itself")
			exec(t, tx, insertOrder, b.ID)
			confirmed, err := joined.Confirm(t.Context(), b.ID)
			require.NoError(t, err)
			list, err := joined.List(t.Context(), booking.ListOptions{Statuses: []booking.Status{booking.Confirmed}})
			require.NoError(t, err)
			require.Equal(t, booking.Page{Bookings: []booking.Booking{confirmed}}, list)
			sum, err := joined.Count(t.Context(), booking.ListOptions{})
			require.NoError(t, err)
			require.Equal(t, booking.Count{N: 2}, sum)
			require.NoError(t, tx.commit())

			got, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, confirmed, got)
			require.Equal(t, 1, count(t, db, `SELECT count(*) FROM orders`))
			requireInvariants(t, db)
		})
	}
}

// Two transactions of callers that want the same slot: the second waits, and is decided
// by how the first ends.
func TestHoldWaitsForACallersTransaction(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{true, false} {
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
		require.NoError(t, err)
		answer := make(chan error)
		go func() {
			_, err := store.Hold(t.Context(), request(slot(0)))
			answer <- err
		}()
		waitForLock(t, db)
		if commits {
			require.NoError(t, tx.Commit())
			require.ErrorIs(t, <-answer, booking.ErrSlotTaken)
		} else {
			require.NoError(t, tx.Rollback())
			require.NoError(t, <-answer)
		}
	}
}

// In a transaction opened long ago now() stands still: a hold made there lives from when
// it was made, and its end is judged by when the confirmation is asked for.
func TestTransactionOpenedLongAgo(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	var opened time.Time
	require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT now()`).Scan(&opened))
	b, err := store.Tx(tx).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err)
	require.True(t, b.CreatedAt.After(opened))
	require.Equal(t, b.CreatedAt.Add(35*time.Minute), b.HoldExpiresAt)
	// Later than the transaction began, earlier than the next statement.
	exec(t, tx, `UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() WHERE id = $1::uuid`,
		b.ID)
	_, err = store.Tx(tx).Confirm(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
	confirmed, err := store.Tx(tx).ConfirmLate(t.Context(), b.ID)
	require.NoError(t, err)
	require.True(t, confirmed.UpdatedAt.After(b.UpdatedAt))
}
