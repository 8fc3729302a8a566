package booking_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestComplete_AndNoShow(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		ctx := booking.WithActor(t.Context(), "desk")
		id := hold(t, store, request(slot(0))).ID
		before, err := store.Confirm(t.Context(), id)
		require.NoError(t, err)
		for level := range levels {
			err := retryInTx(db, store, levels[level], func(tx *booking.Tx) error {
				_, err := tx.Complete(ctx, id)
				require.ErrorIs(t, err, booking.ErrNotBegun)
				_, err = tx.NoShow(ctx, id)
				require.ErrorIs(t, err, booking.ErrNotBegun)
				got, err := tx.Get(ctx, id)
				require.Equal(t, before, got, "the transaction is usable")
				return err
			})
			require.NoError(t, err)
		}
		startsIn(t, db, id, -time.Minute)
		before, err = store.Get(t.Context(), id)
		require.NoError(t, err)
		meanwhile := booking.BlockRequest{Resource: "court", From: before.Start, To: before.End}
		_, err = store.Block(ctx, meanwhile)
		require.ErrorIs(t, err, booking.ErrSlotTaken)

		want := []booking.Change{{From: booking.StatusPending, To: booking.StatusConfirmed}}
		status := booking.StatusConfirmed
		for _, step := range []struct {
			do func(context.Context, string) (booking.Booking, error)
			to booking.Status
		}{
			{store.Complete, booking.StatusCompleted}, {store.Complete, booking.StatusCompleted},
			{store.NoShow, booking.StatusNoShow},
			{store.NoShow, booking.StatusNoShow}, {store.Complete, booking.StatusCompleted},
		} {
			got, err := step.do(ctx, id)
			require.NoError(t, err)
			stored, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, stored, got)
			after := before
			after.Status, after.UpdatedAt = step.to, got.UpdatedAt
			require.Equal(t, after, got)
			if status != step.to {
				want = append(want, booking.Change{From: status, To: step.to, Actor: "desk"})
			}
			status = step.to
		}
		require.Equal(t, want, changes(t, store, id))
		requireHistory(t, db)
		b, err := store.Block(ctx, meanwhile)
		require.NoError(t, err, "its units are free before its end")
		for _, do := range []func(context.Context, string) (booking.Booking, error){store.Complete, store.NoShow} {
			var refused *booking.StatusError
			_, err = do(ctx, b.ID)
			require.ErrorAs(t, err, &refused, "a block is neither completed nor missed")
			require.Equal(t, booking.StatusConfirmed, refused.Status)
		}
	})
}

// moveToStartIn moves a booking with its buffers, so that it starts in d.
func moveToStartIn(t testing.TB, db *sql.DB, id string, d time.Duration) {
	t.Helper()
	exec(t, db, `
		UPDATE booking_platform.bookings b
		SET during = tstzrange(lower(b.during) + s.by, upper(b.during) + s.by),
			blocked = tstzrange(lower(b.blocked) + s.by, upper(b.blocked) + s.by)
		FROM (SELECT statement_timestamp() + make_interval(secs => $2::double precision) - lower(o.during) AS by
			FROM booking_platform.bookings o WHERE o.id = $1::uuid) s
		WHERE b.id = $1::uuid`, id, d.Seconds())
}

// M5: The buffer after a settled booking stays reserved in availability, holds and moves.
func TestComplete_KeepsTheBufferAfter(t *testing.T) {
	t.Parallel()
	const buffer = 6*24*time.Hour + 7*time.Hour
	cases := map[string]struct {
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
	}
	// CompletePast completes every due booking of a database, so cases that share one run
	// in sequence.
	for _, how := range []string{"plain", "moved", "retaken", "of two"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store, err := booking.New(db, booking.Options{CompleteAfter: time.Hour})
			require.NoError(t, err)
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					capacity := 1
					if how == "of two" {
						capacity = 2
					}
					court := create(t, store, func(r *booking.Resource) {
						r.Slug, r.Capacity, r.BufferAfter = "r"+uuid.NewString(), capacity, buffer
					}).ID
					at := func(start time.Time, party int) booking.HoldRequest {
						req := request(start)
						req.Resource, req.Party = court, party
						return req
					}
					b := hold(t, store, at(slot(0), 1))
					switch how {
					case "retaken":
						expireHolds(t, db, b.ID)
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
					moveToStartIn(t, db, b.ID, c.ends-time.Hour)
					offered := func(party int) []booking.Slot {
						slots, err := store.Slots(t.Context(), court, time.Now(), time.Now().Add(buffer+48*time.Hour),
							party)
						require.NoError(t, err)
						return slots
					}
					before := offered(capacity)
					require.NotEmpty(t, before)
					require.NoError(t, c.settle(t, store, b.ID))
					require.Equal(t, before, offered(capacity))
					over := time.Now().Add(c.ends + buffer)
					require.False(t, before[0].Start.Before(over.Add(-time.Minute)), "no slot within the buffer")

					_, err = store.Hold(t.Context(), at(slot(0), capacity))
					require.ErrorIs(t, err, booking.ErrSlotTaken)
					_, err = store.Block(t.Context(), booking.BlockRequest{Resource: court, From: slot(1), To: slot(2)})
					require.ErrorIs(t, err, booking.ErrSlotTaken)
					moving := hold(t, store, at(before[len(before)-1].Start, capacity))
					_, err = store.Reschedule(t.Context(), booking.RescheduleRequest{ID: moving.ID, Start: slot(2)})
					require.ErrorIs(t, err, booking.ErrSlotTaken)
					require.Zero(t, count(t, db, soldTwice))
					n, err := store.CompletePast(t.Context())
					require.NoError(t, err)
					require.Zero(t, n, "settled bookings are skipped")
				})
			}
		})
	}
}

// M5: The buffer before a slot stays reserved until the slot begins.
func TestComplete_KeepsTheBufferBefore(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.BufferBefore = 48 * time.Hour })
	b := hold(t, store, request(slot(100)))
	_, err := store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	_, err = store.Complete(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrNotBegun, "it cannot be settled before it begins")
	_, err = store.Hold(t.Context(), request(slot(60)))
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	_, err = store.Hold(t.Context(), request(slot(51)))
	require.NoError(t, err)
}

func TestLowerCapacity_CountsBuffersOfCompletedBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, func(r *booking.Resource) { r.Capacity, r.BufferAfter = 3, 72*time.Hour })
	for range 2 {
		b := hold(t, store, request(slot(0)))
		_, err := store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		moveToStartIn(t, db, b.ID, -2*time.Hour)
		_, err = store.Complete(t.Context(), b.ID)
		require.NoError(t, err)
	}
	var small *booking.CapacityError
	require.ErrorAs(t, setCapacity(t, store, r, 1), &small)
	require.Equal(t, 2, small.Sold)
	require.NoError(t, setCapacity(t, store, r, 2))
}
