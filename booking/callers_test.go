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

// operation is one that takes units or gives them back, in a caller's transaction.
type operation struct {
	name string
	// prepare makes what the operation is about, in hours from the first one on that are
	// the operation's own, and returns how it is done, and how it is refused.
	prepare func(t *testing.T, db *sql.DB, store *booking.Store,
		hour int) (done, refused func(*booking.Tx) (booking.Booking, error))
	want booking.Status
}

// full is a slot in which there is no room.
func full(t *testing.T, store *booking.Store, hour int) time.Time {
	t.Helper()
	req := request(slot(hour))
	req.Party = 2
	hold(t, store, req)
	return slot(hour)
}

var operations = []operation{
	{"hold", func(t *testing.T, _ *sql.DB, store *booking.Store,
		hour int) (done, refused func(*booking.Tx) (booking.Booking, error)) {
		at := func(start time.Time) func(*booking.Tx) (booking.Booking, error) {
			return func(tx *booking.Tx) (booking.Booking, error) {
				return tx.Hold(context.Background(),
					request(start))
			}
		}
		return at(slot(hour)), at(full(t, store, hour+3))
	}, booking.Pending},
	{"reschedule", func(t *testing.T, _ *sql.DB, store *booking.Store,
		hour int) (done, refused func(*booking.Tx) (booking.Booking, error)) {
		b := hold(t, store, request(slot(hour)))
		at := func(start time.Time) func(*booking.Tx) (booking.Booking, error) {
			return func(tx *booking.Tx) (booking.Booking, error) {
				r, err := tx.Reschedule(context.Background(), to(b.ID, start))
				return r.Booking, err
			}
		}
		return at(slot(hour + 1)), at(full(t, store, hour+3))
	}, booking.Pending},
	{"retake", func(t *testing.T, db *sql.DB, store *booking.Store,
		hour int) (done, refused func(*booking.Tx) (booking.Booking, error)) {
		again := func(start time.Time) func(*booking.Tx) (booking.Booking, error) {
			id := expired(t, db, store, request(start)).ID
			return func(tx *booking.Tx) (booking.Booking, error) { return tx.Retake(context.Background(), id) }
		}
		done, refused = again(slot(hour)), again(slot(hour+3))
		full(t, store, hour+3)
		return done, refused
	}, booking.Confirmed},
	{"block", func(t *testing.T, _ *sql.DB, store *booking.Store,
		hour int) (done, refused func(*booking.Tx) (booking.Booking, error)) {
		at := func(start time.Time) func(*booking.Tx) (booking.Booking, error) {
			return func(tx *booking.Tx) (booking.Booking, error) {
				return tx.Block(context.Background(),
					booking.BlockRequest{Resource: "court", From: start, To: start.Add(time.Hour)})
			}
		}
		return at(slot(hour)), at(full(t, store, hour+3))
	}, booking.Confirmed},
	{"cancel", func(t *testing.T, db *sql.DB, store *booking.Store,
		hour int) (done, refused func(*booking.Tx) (booking.Booking, error)) {
		of := func(b booking.Booking) func(*booking.Tx) (booking.Booking, error) {
			return func(tx *booking.Tx) (booking.Booking, error) {
				return tx.Cancel(context.Background(), booking.CancelRequest{ID: b.ID})
			}
		}
		return of(hold(t, store, request(slot(hour)))), of(expired(t, db, store, request(slot(hour+3))))
	}, booking.Cancelled},
}

// At every isolation level: a transaction opened long ago in which an operation is
// refused goes on, and what is done in it bears the time at which it was done; rolled
// back it was never done.
func TestOperationsInCallersTransactions(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
			for n, op := range operations {
				done, refused := op.prepare(t, db, store, 6*n)
				before := everything(t, db)
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
				require.Equal(t, before, everything(t, db), "%s: rolled back", op.name)

				tx, opened := open()
				// now() stands still meanwhile.
				exec(t, tx,
					`DO $$ BEGIN WHILE clock_timestamp() < now() + interval '20 milliseconds' LOOP END LOOP; END $$`)
				_, err = refused(store.Tx(tx))
				require.Error(t, err, op.name)
				require.False(t, booking.IsRetryable(err), "%s: %v", op.name, err)
				require.True(t, errors.Is(err, booking.ErrSlotTaken) || errors.As(err, new(*booking.StatusError)),
					"%s: %v", op.name, err)
				b, err := done(store.Tx(tx))
				require.NoError(t, err, "%s: after it was refused", op.name)
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
