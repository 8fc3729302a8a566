package booking_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Without contention and with a cached resource each operation is one round trip.
func TestRoundTrips_HoldToCancel(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	store := newStore(t, db)
	create(t, store)
	_, err := store.Slots(t.Context(), "court", slot(0), slot(5), 1)
	require.NoError(t, err)
	taken := hold(t, store, request(slot(0)))

	costs := func(want int, what string, f func(ctx context.Context) error) {
		before := trips.Load()
		require.NoError(t, f(t.Context()), what)
		require.EqualValues(t, want, trips.Load()-before, what)
	}
	var b booking.Booking
	costs(1, "hold", func(ctx context.Context) (err error) {
		req := keyed(slot(1))
		b, err = store.Hold(ctx, req)
		return err
	})
	costs(1, "confirm", func(ctx context.Context) error { _, err := store.Confirm(ctx, b.ID); return err })
	costs(2, "confirm again", func(ctx context.Context) error { _, err := store.Confirm(ctx, b.ID); return err })
	costs(1, "slots", func(ctx context.Context) error {
		_, err := store.Slots(ctx, "court", slot(0), slot(500), 1)
		return err
	})
	costs(1, "get", func(ctx context.Context) error { _, err := store.Get(ctx, b.ID); return err })
	costs(1, "list", func(ctx context.Context) error { _, err := store.List(ctx, booking.ListOptions{}); return err })
	costs(1, "cancel", func(ctx context.Context) error {
		_, err := store.Cancel(ctx, booking.CancelRequest{ID: b.ID, Reason: "rain"})
		return err
	})
	costs(2, "cancel again", func(ctx context.Context) error {
		_, err := store.Cancel(ctx, booking.CancelRequest{ID: b.ID})
		return err
	})
	costs(1, "list by start", func(ctx context.Context) error {
		_, err := store.List(ctx, booking.ListOptions{Order: booking.ByStart, Resource: "court",
			Statuses: []booking.Status{booking.StatusConfirmed}, Limit: 1})
		return err
	})
	costs(1, "count", func(ctx context.Context) error {
		_, err := store.Count(ctx, booking.ListOptions{Resource: "court"})
		return err
	})
	costs(1, "release", func(ctx context.Context) error { _, err := store.Release(ctx, taken.ID); return err })
	costs(1, "nothing to sweep", func(ctx context.Context) error { _, err := store.ReleaseExpired(ctx); return err })
	costs(1, "hold of a released slot", func(ctx context.Context) error {
		b, err = store.Hold(ctx, request(slot(0)))
		return err
	})
	costs(1, "refusal", func(ctx context.Context) error {
		_, err := store.Hold(ctx, request(slot(0)))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		return nil
	})
	costs(1, "confirm late", func(ctx context.Context) error { _, err := store.ConfirmLate(ctx, b.ID); return err })
	expireHolds(t, db, hold(t, store, request(slot(7))).ID)
	costs(3, "hold over an expired hold", func(ctx context.Context) error {
		_, err := store.Hold(ctx, request(slot(7)))
		return err
	})

	// Limits and owner tokens add none; a repeat needs one more.
	limited, err := booking.New(db, booking.Options{MaxHoldsPerEmail: 2, MaxHoldsPerClient: 100, OwnerSecrets: secrets})
	require.NoError(t, err)
	_, err = limited.Resource(t.Context(), "court")
	require.NoError(t, err)
	first, second := requestFrom(slot(20), "bob@example.com", "10.0.0.1"),
		requestFrom(slot(21), "bob@example.com", "10.0.0.1")
	costs(1, "hold within limits", func(ctx context.Context) error { _, err := limited.Hold(ctx, first); return err })
	second.IdempotencyKey = "second"
	costs(1, "hold within limits", func(ctx context.Context) error { b, err = limited.Hold(ctx, second); return err })
	costs(2, "repeat", func(ctx context.Context) error { _, err := limited.Hold(ctx, second); return err })
	costs(1, "hold above the limit", func(ctx context.Context) error {
		_, err := limited.Hold(ctx, requestFrom(slot(22), "bob@example.com", "10.0.0.1"))
		require.ErrorIs(t, err, booking.ErrTooManyHolds)
		return nil
	})
	costs(1, "owned", func(ctx context.Context) error { _, err := limited.Owned(ctx, b.ID, b.OwnerToken); return err })
	costs(0, "token of an unknown secret", func(ctx context.Context) error {
		_, err := limited.Owned(ctx, b.ID, "x"+b.OwnerToken)
		require.ErrorIs(t, err, booking.ErrNotFound)
		return nil
	})
	costs(1, "renew the owner token", func(ctx context.Context) error {
		_,
			err := limited.RenewOwnerToken(ctx, b.ID)
		return err
	})
	_, err = limited.Release(t.Context(), b.ID)
	require.NoError(t, err)
	exec(t, db, `UPDATE booking_platform.bookings
		SET idempotency_key = 'first', customer_hash = sha256('bob@example.com')
		WHERE reference = '' AND lower(during) = $1::timestamptz`, slot(20))
	first.IdempotencyKey = "first"
	costs(2, "repeat where the slot is free", func(ctx context.Context) error {
		first.Start = slot(25)
		_, err := limited.Hold(ctx, first)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
		return nil
	})
}

// Each in the store and in a caller's transaction.
func TestRoundTrips_AfterConfirmation(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	store, err := booking.New(db, booking.Options{CompleteAfter: time.Hour})
	require.NoError(t, err)
	create(t, store)
	held := func(start int) string { return hold(t, store, request(slot(start))).ID }
	stands := func(start int) string {
		id := held(start)
		_, err := store.Confirm(t.Context(), id)
		require.NoError(t, err)
		return id
	}
	ids := map[string]string{"hold": held(0), "confirmed": stands(1), "begun": stands(2)}
	startsIn(t, db, ids["begun"], -time.Minute)
	tests := []struct {
		name, of string
		want     int
		do       func(ctx context.Context, tx *booking.Tx, id string) error
	}{
		{"extend", "hold", 1, func(ctx context.Context, tx *booking.Tx, id string) error {
			_, err := tx.Extend(ctx, id, slot(0))
			return err
		}},
		{"cancel by staff", "confirmed", 1, func(ctx context.Context, tx *booking.Tx, id string) error {
			_, err := tx.Cancel(ctx, booking.CancelRequest{ID: id, Refund: minor(5)})
			return err
		}},
		{"cancel by customer", "confirmed", 2, func(ctx context.Context, tx *booking.Tx, id string) error {
			_, err := tx.Cancel(ctx, byCustomer(id))
			return err
		}},
		{"cancel of a hold by customer", "hold", 2, func(ctx context.Context, tx *booking.Tx, id string) error {
			_, err := tx.Cancel(ctx, byCustomer(id))
			return err
		}},
		{"complete", "begun", 1, func(ctx context.Context, tx *booking.Tx, id string) error {
			_,
				err := tx.Complete(ctx, id)
			return err
		}},
		{"no-show", "begun", 1, func(ctx context.Context, tx *booking.Tx, id string) error {
			_,
				err := tx.NoShow(ctx, id)
			return err
		}},
	}
	for _, test := range tests {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		before := trips.Load()
		require.NoError(t, test.do(t.Context(), store.Tx(tx), ids[test.of]), test.name)
		require.EqualValues(t, test.want, trips.Load()-before, test.name)
		require.NoError(t, tx.Rollback())
	}
	costs := func(want int, what string, f func(ctx context.Context) error) {
		before := trips.Load()
		require.NoError(t, f(t.Context()), what)
		require.EqualValues(t, want, trips.Load()-before, what)
	}
	costs(2, "cancel by customer", func(ctx context.Context) error {
		_, err := store.Cancel(ctx, byCustomer(ids["confirmed"]))
		return err
	})
	costs(1, "complete", func(ctx context.Context) error { _, err := store.Complete(ctx, ids["begun"]); return err })
	costs(1, "extend", func(ctx context.Context) error {
		_,
			err := store.Extend(ctx, ids["hold"], slot(0))
		return err
	})
	costs(1, "nothing to complete", func(ctx context.Context) error { _, err := store.CompletePast(ctx); return err })
}

func TestRoundTrips_Availability(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	store := newStore(t, db)
	create(t, store)
	create(t, store, func(r *booking.Resource) { r.Slug = "hall" })
	ask := booking.AvailabilityRequest{Resources: []string{"court", "hall"}, From: slot(0), To: slot(5)}
	_, err := store.Availability(t.Context(), ask)
	require.NoError(t, err)
	before := trips.Load()
	_, err = store.Availability(t.Context(), ask)
	require.NoError(t, err)
	require.EqualValues(t, 1, trips.Load()-before)
	_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "hall"})
	require.NoError(t, err)
	require.EqualValues(t, 2, trips.Load()-before)
	_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "hall", After: time.Unix(0, 0)})
	require.NoError(t, err)
	require.EqualValues(t, 4, trips.Load()-before, "the past is skipped")
}

func TestRoundTrips_Feeds(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	store := newStore(t, db)
	create(t, store)
	hold(t, store, request(slot(0)))
	before := trips.Load()
	costs := func(want int64) {
		require.Equal(t, want, trips.Load()-before)
		before = trips.Load()
	}
	token, err := store.CreateFeed(t.Context(), "court")
	require.NoError(t, err)
	costs(1)
	_, err = store.Feed(t.Context(), token)
	require.NoError(t, err)
	costs(2)
	_, err = store.Feed(t.Context(), "unknown")
	require.ErrorIs(t, err, booking.ErrNotFound)
	costs(1)
	_, err = store.DeleteFeeds(t.Context(), "court")
	require.NoError(t, err)
	costs(1)
}
