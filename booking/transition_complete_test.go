package booking_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// starting moves a booking, buffers included, so that it starts in d; the grid of the
// slots is of no matter to what is sold.
func starting(t testing.TB, db *sql.DB, id string, d time.Duration) {
	t.Helper()
	exec(t, db, `
		UPDATE booking_platform.bookings b
		SET during = tstzrange(lower(b.during) + s.by, upper(b.during) + s.by), blocked = tstzrange(lower(b.blocked) + s.by, upper(b.blocked) + s.by)
		FROM (SELECT statement_timestamp() + make_interval(secs => $2::double precision) - lower(o.during) AS by
			FROM booking_platform.bookings o WHERE o.id = $1::uuid) s
		WHERE b.id = $1::uuid`, id, d.Seconds())
}

// M5: whatever is noted of a booking, the buffer after it is kept until it is over, in
// availability, holds and moves.
func TestComplete_KeepsTheBufferAfter(t *testing.T) {
	t.Parallel()
	const buffer = 6*24*time.Hour + 7*time.Hour
	for name, c := range map[string]struct {
		ends   time.Duration
		settle func(t *testing.T, store *booking.Store, id string) error
	}{
		"past": {-30 * time.Hour, func(t *testing.T, store *booking.Store, _ string) error {
			n, err := store.CompletePast(t.Context())
			require.Equal(t, 1, n)
			return err
		}},
		"completed": {-30 * time.Hour, func(t *testing.T, store *booking.Store, id string) error {
			_, err := store.Complete(t.Context(), id)
			return err
		}},
		"completed before its end": {time.Minute, func(t *testing.T, store *booking.Store, id string) error {
			_, err := store.Complete(t.Context(), id)
			return err
		}},
		"missed": {time.Minute, func(t *testing.T, store *booking.Store, id string) error {
			_, err := store.NoShow(t.Context(), id)
			return err
		}},
		"missed, then corrected": {-time.Hour, func(t *testing.T, store *booking.Store, id string) error {
			if _, err := store.NoShow(t.Context(), id); err != nil {
				return err
			}
			_, err := store.Complete(t.Context(), id)
			return err
		}},
		"past, then corrected": {-26 * time.Hour, func(t *testing.T, store *booking.Store, id string) error {
			if _, err := store.CompletePast(t.Context()); err != nil {
				return err
			}
			_, err := store.NoShow(t.Context(), id)
			return err
		}},
	} {
		for _, how := range []string{"plain", "moved", "retaken", "of two"} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				db := testdb.New(t)
				store, err := booking.New(db, booking.Options{CompleteAfter: time.Hour})
				require.NoError(t, err)
				capacity := 1
				if how == "of two" {
					capacity = 2
				}
				create(t, store, func(r *booking.Resource) { r.Capacity, r.BufferAfter = capacity, buffer })
				b := hold(t, store, request(slot(0)))
				switch how {
				case "retaken":
					lapse(t, db, b.ID)
					_, err = store.ReleaseExpired(t.Context())
					require.NoError(t, err)
					_, err = store.Retake(t.Context(), b.ID)
				case "moved":
					_, err = store.Confirm(t.Context(), b.ID)
					require.NoError(t, err)
					_, err = store.Reschedule(t.Context(), booking.RescheduleRequest{ID: b.ID, Start: slot(7)})
				default:
					_, err = store.Confirm(t.Context(), b.ID)
				}
				require.NoError(t, err)
				starting(t, db, b.ID, c.ends-time.Hour)
				offered := func(party int) []booking.Slot {
					slots, err := store.Slots(t.Context(), "court", time.Now(), time.Now().Add(buffer+48*time.Hour),
						party)
					require.NoError(t, err)
					return slots
				}
				before := offered(capacity)
				require.NotEmpty(t, before)
				require.NoError(t, c.settle(t, store, b.ID))
				require.Equal(t, before, offered(capacity))
				over := time.Now().Add(c.ends + buffer)
				require.False(t, before[0].Start.Before(over.Add(-time.Minute)), "nothing before the buffer is over")

				req := request(slot(0))
				req.Party = capacity
				_, err = store.Hold(t.Context(), req)
				require.ErrorIs(t, err, booking.ErrSlotTaken)
				_, err = store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(1), To: slot(2)})
				require.ErrorIs(t, err, booking.ErrSlotTaken)
				other := request(before[len(before)-1].Start)
				other.Party = capacity
				moving := hold(t, store, other)
				_, err = store.Reschedule(t.Context(), booking.RescheduleRequest{ID: moving.ID, Start: slot(2)})
				require.ErrorIs(t, err, booking.ErrSlotTaken)
				require.Zero(t, count(t, db, soldTwice))
				n, err := store.CompletePast(t.Context())
				require.NoError(t, err)
				require.Zero(t, n, "what is settled is not looked at again")
			})
		}
	}
}

// M5: the buffer before a slot keeps others away until the slot begins.
func TestComplete_KeepsTheBufferBefore(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.BufferBefore = 48 * time.Hour })
	b := hold(t, store, request(slot(100)))
	_, err := store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	_, err = store.Complete(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrNotBegun, "it cannot be settled before")
	_, err = store.Hold(t.Context(), request(slot(60)))
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	_, err = store.Hold(t.Context(), request(slot(51)))
	require.NoError(t, err)
}

// A capacity is not lowered below what buffers of completed bookings still need.
func TestApplyResource_CountsBuffersOfCompletedBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, func(r *booking.Resource) { r.Capacity, r.BufferAfter = 3, 72*time.Hour })
	for range 2 {
		b := hold(t, store, request(slot(0)))
		_, err := store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		starting(t, db, b.ID, -2*time.Hour)
		_, err = store.Complete(t.Context(), b.ID)
		require.NoError(t, err)
	}
	var small *booking.CapacityError
	require.ErrorAs(t, lower(t, store, r, 1), &small)
	require.Equal(t, 2, small.Sold)
	require.NoError(t, lower(t, store, r, 2))
}
