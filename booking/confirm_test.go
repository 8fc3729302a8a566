package booking_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// M17: a hold ends with the start of its slot at the latest: when it is made, extended or
// moved to an earlier slot.
func TestHold_EndsWithItsStart(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.HoldFor = 30 * 24 * time.Hour })
		held := hold(t, store, request(slot(0)))
		require.Equal(t, slot(0), held.HoldExpiresAt)
		far := hold(t, store, request(slot(31*24)))
		require.True(t, far.HoldExpiresAt.Before(far.Start), "the resource's HoldFor is shorter")
		for _, until := range []time.Time{slot(1), slot(10000), held.Start.Add(time.Microsecond)} {
			got, err := store.Extend(t.Context(), held.ID, until)
			require.NoError(t, err)
			require.Equal(t, held.Start, got.HoldExpiresAt)
		}
		later, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: held.ID, Start: slot(5)})
		require.NoError(t, err)
		require.Equal(t, slot(0), later.HoldExpiresAt, "a later slot does not extend it")
		earlier, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: held.ID, Start: slot(-3)})
		require.NoError(t, err)
		require.Equal(t, slot(-3), earlier.HoldExpiresAt)
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.hold_deadlines WHERE booking_id = $1::uuid AND due_at = $2::timestamptz`,
			held.ID, slot(-3)), "the sweep looks at it when it ends")
		require.Zero(t,
			count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE hold_expires_at > lower(during)`))

		confirmed, err := store.Confirm(t.Context(), far.ID)
		require.NoError(t, err)
		moved, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: far.ID, Start: slot(2)})
		require.NoError(t, err)
		require.Equal(t, confirmed.HoldExpiresAt, moved.HoldExpiresAt, "of a confirmed booking it is history")
	})
}

// M17: no hold is confirmed or extended once its slot has begun, also one whose row
// says that it lasts longer.
func TestConfirm_SlotHasBegun(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		held := hold(t, store, request(slot(0)))
		startsIn(t, db, held.ID, -time.Second)
		before := everything(t, db)
		for _, c := range []struct {
			want error
			do   func(context.Context, string) (booking.Booking, error)
		}{
			{booking.ErrHoldExpired, store.Confirm},
			{booking.ErrSlotGone, store.ConfirmLate},
			{booking.ErrHoldExpired, func(ctx context.Context,
				id string) (booking.Booking, error) {
				return store.Extend(ctx, id, slot(9))
			}},
		} {
			_, err := c.do(t.Context(), held.ID)
			require.ErrorIs(t, err, c.want)
		}
		require.NoError(t, inTx(db, store, sql.LevelReadCommitted, func(tx *booking.Tx) error {
			_, err := tx.Confirm(t.Context(), held.ID)
			require.ErrorIs(t, err, booking.ErrHoldExpired)
			_, err = tx.ConfirmLate(t.Context(), held.ID)
			require.ErrorIs(t, err, booking.ErrSlotGone)
			confirmed, err := tx.ConfirmSeveral(t.Context(), []booking.Confirmation{{ID: held.ID}})
			require.Empty(t, confirmed)
			return err
		}))
		require.Equal(t, before, everything(t, db))
	})
}
