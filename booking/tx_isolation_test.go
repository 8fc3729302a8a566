package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// holdInTx retries the whole transaction as documented.
func holdInTx(db *sql.DB, store *booking.Store, level sql.IsolationLevel, req booking.HoldRequest) error {
	for {
		err := func() error {
			tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: level})
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := store.Tx(tx).Hold(context.Background(), req); err != nil {
				return err
			}
			return tx.Commit()
		}()
		if !booking.IsRetryable(err) {
			return err
		}
	}
}

func TestTxHold_Concurrent(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 12 })
			fillWithExpired(t, db, newStore(t, db), 12, slot(1))
			for round := range 2 {
				errs := concurrently(t, db, 20, func(store *booking.Store, _ int) error {
					return holdInTx(db, store, level, request(slot(round)))
				})
				requireSold(t, 12, errs)
			}
			requireInvariants(t, db)
		})
	}
}

func TestTxHold_BehindSnapshotIsRetryable(t *testing.T) {
	t.Parallel()
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		db := testdb.New(t)
		store := newStore(t, db).WithSideTxTimeout()
		create(t, store)
		expired := fillWithExpired(t, db, store, 1, slot(5))
		tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		require.NoError(t, err)
		exec(t, tx, `SELECT 1`)
		hold(t, store, request(slot(0)))
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
		require.True(t, booking.IsRetryable(err), "%v", err)
		require.NotErrorIs(t, err, booking.ErrSlotTaken)
		require.NoError(t, tx.Rollback())
		require.ErrorIs(t, holdInTx(db, store, level, request(slot(0))), booking.ErrSlotTaken)

		tx, err = db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
		require.NoError(t, err)
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(5)))
		require.True(t, booking.IsRetryable(err), "%v", err)
		require.ErrorContains(t, err, "invisible at this isolation level")
		exec(t, tx, `SELECT 1`)
		require.NoError(t, tx.Rollback())
		b, err := store.Get(t.Context(), expired[0])
		require.NoError(t, err)
		require.Equal(t, booking.StatusExpired, b.Status, "released for the next attempt")
		require.NoError(t, holdInTx(db, store, level, request(slot(5))))
	}
}

// At READ COMMITTED the expired hold is released outside the transaction, which then
// takes the slot in the same attempt.
func TestTxHold_ExpiredHoldInTheWay(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db).WithSideTxTimeout()
		create(t, store)
		expired := fillWithExpired(t, db, store, 1, slot(0))
		tx, err := db.BeginTx(t.Context(), readCommitted)
		require.NoError(t, err)
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
		b, err := store.Get(t.Context(), expired[0])
		require.NoError(t, err)
		require.Equal(t, booking.StatusExpired, b.Status)
	})
}

// The hold fails soon with a retryable error, and the transaction stays usable.
func TestTxHold_PoolOfOneConnection(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	fillWithExpired(t, db, store, 1, slot(0))
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	joined := store.Tx(tx)
	began := time.Now()
	_, err = joined.Hold(t.Context(), request(slot(0)))
	require.True(t, booking.IsRetryable(err), "%v", err)
	require.NotErrorIs(t, err, booking.ErrSlotTaken)
	require.Less(t, time.Since(began), 5*time.Second)
	b, err := joined.Hold(t.Context(), request(slot(1)))
	require.NoError(t, err, "other operations need no second connection")
	_, err = joined.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	released, err := store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, released)
	require.NoError(t, holdInTx(db, store, sql.LevelReadCommitted, request(slot(0))))
}

// The caller itself has locked the expired hold, so waiting would never end.
func TestTxHold_ExpiredHoldLockedByCaller(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	expired := fillWithExpired(t, db, store, 1, slot(0))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	exec(t, tx, `SELECT FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, expired[0])
	_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
	require.True(t, booking.IsRetryable(err), "%v", err)
	exec(t, tx, `SELECT 1`)
}

// Two callers take two slots in opposite order; one of them has to retry.
func TestTxHold_DeadlockIsRetryable(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	first, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = first.Rollback() }()
	second, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = second.Rollback() }()
	_, err = store.Tx(first).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err)
	_, err = store.Tx(second).Hold(t.Context(), request(slot(1)))
	require.NoError(t, err)
	answer := make(chan error)
	go func() {
		_, err := store.Tx(first).Hold(t.Context(), request(slot(1)))
		_ = first.Rollback()
		answer <- err
	}()
	waitForLock(t, db)
	_, here := store.Tx(second).Hold(t.Context(), request(slot(0)))
	_ = second.Rollback()
	err = errors.Join(here, <-answer)
	require.True(t, booking.IsRetryable(err), "%v", err)
}

// txStep is a call in a caller's transaction.
type txStep func(*booking.Tx) (booking.Booking, error)

// operation takes or frees units in a caller's transaction.
type operation struct {
	name string
	// prepare sets up the operation in hours from the given one, and returns one success
	// and one refusal.
	prepare func(t *testing.T, db *sql.DB, store *booking.Store, hour int) (done, refused txStep)
	want    booking.Status
}

// soldOutSlot returns a sold-out slot.
func soldOutSlot(t *testing.T, store *booking.Store, hour int) time.Time {
	t.Helper()
	req := request(slot(hour))
	req.Party = 2
	hold(t, store, req)
	return slot(hour)
}

var operations = []operation{
	{"hold", func(t *testing.T, _ *sql.DB, store *booking.Store, hour int) (done, refused txStep) {
		at := func(start time.Time) txStep {
			return func(tx *booking.Tx) (booking.Booking, error) {
				return tx.Hold(context.Background(), request(start))
			}
		}
		return at(slot(hour)), at(soldOutSlot(t, store, hour+3))
	}, booking.StatusPending},
	{"reschedule", func(t *testing.T, _ *sql.DB, store *booking.Store, hour int) (done, refused txStep) {
		b := hold(t, store, request(slot(hour)))
		at := func(start time.Time) txStep {
			return func(tx *booking.Tx) (booking.Booking, error) {
				r, err := tx.Reschedule(context.Background(), moveTo(b.ID, start))
				return r.Booking, err
			}
		}
		return at(slot(hour + 1)), at(soldOutSlot(t, store, hour+3))
	}, booking.StatusPending},
	{"retake", func(t *testing.T, db *sql.DB, store *booking.Store, hour int) (done, refused txStep) {
		again := func(start time.Time) txStep {
			id := releasedHold(t, db, store, request(start)).ID
			return func(tx *booking.Tx) (booking.Booking, error) { return tx.Retake(context.Background(), id) }
		}
		done, refused = again(slot(hour)), again(slot(hour+3))
		soldOutSlot(t, store, hour+3)
		return done, refused
	}, booking.StatusConfirmed},
	{"block", func(t *testing.T, _ *sql.DB, store *booking.Store, hour int) (done, refused txStep) {
		at := func(start time.Time) txStep {
			return func(tx *booking.Tx) (booking.Booking, error) {
				return tx.Block(context.Background(),
					booking.BlockRequest{Resource: "court", From: start, To: start.Add(time.Hour)})
			}
		}
		return at(slot(hour)), at(soldOutSlot(t, store, hour+3))
	}, booking.StatusConfirmed},
	{"cancel", func(t *testing.T, db *sql.DB, store *booking.Store, hour int) (done, refused txStep) {
		of := func(b booking.Booking) txStep {
			return func(tx *booking.Tx) (booking.Booking, error) {
				return tx.Cancel(context.Background(), booking.CancelRequest{ID: b.ID})
			}
		}
		return of(hold(t, store, request(slot(hour)))), of(releasedHold(t, db, store, request(slot(hour+3))))
	}, booking.StatusCancelled},
}

// At every isolation level: usable after a refusal, changes have the time of their
// statement, and a rollback undoes them.
func TestTx_EveryOperation(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
			for n, op := range operations {
				done, refused := op.prepare(t, db, store, 6*n)
				before := allRows(t, db)
				open := func() (*sql.Tx, time.Time) {
					tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
					require.NoError(t, err)
					var opened time.Time
					require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT now()`).Scan(&opened))
					return tx, opened
				}

				tx, _ := open()
				_, err := done(store.Tx(tx))
				require.NoError(t, err, op.name)
				require.NoError(t, tx.Rollback())
				require.Equal(t, before, allRows(t, db), "%s: rolled back", op.name)

				tx, opened := open()
				// now() is the start of the transaction.
				exec(t, tx,
					`DO $$ BEGIN WHILE clock_timestamp() < now() + interval '20 milliseconds' LOOP END LOOP; END $$`)
				_, err = refused(store.Tx(tx))
				require.Error(t, err, op.name)
				require.False(t, booking.IsRetryable(err), "%s: %v", op.name, err)
				require.True(t, errors.Is(err, booking.ErrSlotTaken) || errors.As(err, new(*booking.StatusError)),
					"%s: %v", op.name, err)
				b, err := done(store.Tx(tx))
				require.NoError(t, err, "%s: after a refusal", op.name)
				require.Equal(t, op.want, b.Status)
				later := opened.Add(20 * time.Millisecond)
				require.False(t, b.UpdatedAt.Before(later), "%s: %s is before %s", op.name, b.UpdatedAt, later)
				history, err := store.Tx(tx).History(t.Context(), b.ID)
				require.NoError(t, err)
				require.False(t, history[len(history)-1].At.Before(later), op.name)
				require.NoError(t, tx.Commit())
				stored, err := store.Get(t.Context(), b.ID)
				require.NoError(t, err)
				require.Equal(t, b, stored, op.name)
				requireInvariants(t, db)
				requireHistory(t, db)
			}
		})
	}
}
