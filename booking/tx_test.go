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

// wrappedPool hides the type of a pool.
type wrappedPool struct{ *sql.DB }

// beginner is another type with BeginTx.
type beginner struct{ booking.Querier }

func (beginner) BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error) { return nil, nil }

// M27: Every operation refuses a pool, and changes nothing.
func TestStoreTx_RefusesPools(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2))
	pending, confirmed, lapsed := hold(t, store, request(slot(0))), hold(t, store, request(slot(3))),
		hold(t, store, request(slot(6)))
	_, err := store.Confirm(t.Context(), confirmed.ID)
	require.NoError(t, err)
	expireHolds(t, db, lapsed.ID)
	_, err = store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	before := allRows(t, db)
	for name, q := range map[string]booking.Querier{
		"nothing": nil, "sql.DB": db, "nil sql.DB": (*sql.DB)(nil), "sqlx.DB": sqlx.NewDb(db, "postgres"),
		"wrapped": wrappedPool{db}, "pointer to wrapped": &wrappedPool{db}, "begins": beginner{db},
	} {
		tx := store.Tx(q)
		ctx := t.Context()
		for operation, do := range map[string]func() error{
			"Hold":             func() error { _, err := tx.Hold(ctx, request(slot(1))); return err },
			"Confirm":          func() error { _, err := tx.Confirm(ctx, pending.ID); return err },
			"ConfirmLate":      func() error { _, err := tx.ConfirmLate(ctx, pending.ID); return err },
			"Release":          func() error { _, err := tx.Release(ctx, pending.ID); return err },
			"Extend":           func() error { _, err := tx.Extend(ctx, pending.ID, slot(0)); return err },
			"Expire":           func() error { _, err := tx.Expire(ctx, pending.ID); return err },
			"Lock":             func() error { _, err := tx.Lock(ctx, pending.ID); return err },
			"LockWithResource": func() error { _, err := tx.LockWithResource(ctx, pending.ID); return err },
			"Get":              func() error { _, err := tx.Get(ctx, pending.ID); return err },
			"List":             func() error { _, err := tx.List(ctx, booking.ListOptions{}); return err },
			"Count":            func() error { _, err := tx.Count(ctx, booking.ListOptions{}); return err },
			"Cancel": func() error {
				_,
					err := tx.Cancel(ctx, booking.CancelRequest{ID: confirmed.ID})
				return err
			},
			"Complete": func() error { _, err := tx.Complete(ctx, confirmed.ID); return err },
			"NoShow":   func() error { _, err := tx.NoShow(ctx, confirmed.ID); return err },
			"Retake":   func() error { _, err := tx.Retake(ctx, lapsed.ID); return err },
			"Reschedule": func() error {
				_, err := tx.Reschedule(ctx, booking.RescheduleRequest{ID: confirmed.ID, Start: slot(9)})
				return err
			},
			"Block": func() error {
				_, err := tx.Block(ctx, booking.BlockRequest{Resource: "court", From: slot(12), To: slot(13)})
				return err
			},
		} {
			require.ErrorIs(t, do(), booking.ErrNoTransaction, "%s of %s", operation, name)
		}
	}
	require.Equal(t, before, allRows(t, db))
}

// M27.
func TestStoreTx_JoinsTransactions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	ctx := t.Context()
	plain, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	named, err := sqlx.NewDb(db, "postgres").BeginTxx(ctx, nil)
	require.NoError(t, err)
	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	exec(t, conn, `BEGIN`)
	for n, q := range []booking.Querier{plain, named, conn, struct{ *sql.Conn }{conn}} {
		b, err := store.Tx(q).Hold(ctx, request(slot(n)))
		require.NoError(t, err)
		_, err = store.Get(ctx, b.ID)
		require.ErrorIs(t, err, booking.ErrNotFound, "it is not committed")
	}
	require.NoError(t, plain.Rollback())
	require.NoError(t, named.Rollback())
	exec(t, conn, `ROLLBACK`)
	slots, err := store.Slots(ctx, "court", slot(0), slot(0).Add(4*time.Hour), 1)
	require.NoError(t, err)
	require.Len(t, slots, 4)
}

// callersTx is a transaction of the caller's, and how it ends.
type callersTx struct {
	booking.Querier
	commit, rollback func() error
}

// begins are the ways to begin a transaction.
var begins = map[string]struct {
	driver testdb.Driver
	begin  func(t *testing.T, db *sql.DB) callersTx
}{
	"sql.Tx": {testdb.PQ, func(t *testing.T, db *sql.DB) callersTx {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		return callersTx{tx, tx.Commit, tx.Rollback}
	}},
	"sqlx.Tx with another mapper": {testdb.PQBinary, func(t *testing.T, db *sql.DB) callersTx {
		wrapped := sqlx.NewDb(db, "driver unknown to sqlx")
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

func TestTx_CommitAndRollback(t *testing.T) {
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
			require.NoError(t, err, "usable after a refusal, and sees its own changes")
			exec(t, tx, insertOrder, b.ID)
			confirmed, err := joined.Confirm(t.Context(), b.ID)
			require.NoError(t, err)
			list, err := joined.List(t.Context(),
				booking.ListOptions{Statuses: []booking.Status{booking.StatusConfirmed}})
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

// The second transaction waits, and its result depends on how the first ends.
func TestTxHold_WaitsForAnotherTx(t *testing.T) {
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

// now() is the start of the transaction: holds and confirmations use the time of their
// statement.
func TestTx_OpenedLongAgo(t *testing.T) {
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
	// Later than the start of the transaction, earlier than the next statement.
	exec(t, tx, `UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() WHERE id = $1::uuid`,
		b.ID)
	_, err = store.Tx(tx).Confirm(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
	confirmed, err := store.Tx(tx).ConfirmLate(t.Context(), b.ID)
	require.NoError(t, err)
	require.True(t, confirmed.UpdatedAt.After(b.UpdatedAt))
}
