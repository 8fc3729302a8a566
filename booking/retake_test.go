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

func releasedHold(t *testing.T, db *sql.DB, store *booking.Store, req booking.HoldRequest) booking.Booking {
	t.Helper()
	b := hold(t, store, req)
	expireHolds(t, db, b.ID)
	_, err := store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	b, err = store.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusExpired, b.Status)
	return b
}

func TestRetake_TakesTheSlotAgain(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, overlappingSlots(2), func(r *booking.Resource) { r.BufferBefore = 15 * time.Minute })
		req := keyed(slot(0))
		b := releasedHold(t, db, store, req)
		// Price and hours have changed; the booking keeps its own.
		exec(t, db, `UPDATE booking_platform.resources
			SET price_minor = 1, slot_seconds = 7200, step_seconds = 7200, horizon_seconds = 60`)
		got, err := store.Retake(booking.WithActor(t.Context(), "stripe:evt_1"), b.ID)
		require.NoError(t, err)
		want := b
		want.Status, want.UpdatedAt = booking.StatusConfirmed, got.UpdatedAt
		require.Equal(t, want, got)
		stored, err := store.Get(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, got, stored)
		history, err := store.History(t.Context(), b.ID)
		require.NoError(t, err)
		last := history[len(history)-1]
		require.Equal(t, booking.Change{At: last.At, From: booking.StatusExpired, To: booking.StatusConfirmed,
			Actor: "stripe:evt_1"}, last)

		before := allRows(t, db)
		again, err := store.Retake(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, got, again)
		require.Equal(t, before, allRows(t, db))
		requireInvariants(t, db)
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`), "temporary rows are left")
	})
}

// A caller's transaction stays usable.
func TestRetake_Refused(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(3))
	party := func(n int, start time.Time) booking.HoldRequest {
		req := request(start)
		req.Party = n
		return req
	}
	sold, partly := releasedHold(t, db, store, party(2, slot(0))), releasedHold(t, db, store, party(2, slot(3)))
	begun := releasedHold(t, db, store, request(slot(5)))
	exec(t, db, `UPDATE booking_platform.bookings SET during = tstzrange(statement_timestamp(), upper(during))
		, blocked = tstzrange(statement_timestamp(), upper(blocked)) WHERE id = $1::uuid`, begun.ID)
	hold(t, store, party(3, slot(0)))
	hold(t, store, party(2, slot(3).Add(30*time.Minute)))
	pending, cancelled := hold(t, store, request(slot(7))), hold(t, store, request(slot(8)))
	_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	block, err := store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(9), To: slot(10)})
	require.NoError(t, err)
	gone := releasedHold(t, db, store, request(slot(12)))

	before := allRows(t, db)
	refused := func(id string, want func(err error)) {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(tx).Retake(t.Context(), id)
		want(err)
		exec(t, tx, `SELECT 1`)
		require.NoError(t, tx.Commit())
		_, err = store.Retake(t.Context(), id)
		want(err)
		require.Equal(t, before, allRows(t, db))
	}
	is := func(target error) func(error) { return func(err error) { require.ErrorIs(t, err, target) } }
	status := func(err error) { require.ErrorAs(t, err, new(*booking.StatusError)) }
	refused(sold.ID, is(booking.ErrSlotTaken))
	refused(partly.ID, is(booking.ErrSlotTaken))
	refused(begun.ID, is(booking.ErrSlotGone))
	refused(pending.ID, status)
	refused(cancelled.ID, status)
	refused(block.ID, status)
	refused("x", is(booking.ErrNotFound))
	refused("019a2b3c-0000-7000-8000-000000000000", is(booking.ErrNotFound))
	exec(t, db, `UPDATE booking_platform.resources SET active = false`)
	refused(gone.ID, is(booking.ErrSlotGone))
}

// Free units are used, neighbours relocated and expired holds released.
func TestRetake_RelocatesNeighbours(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2))
	b := releasedHold(t, db, store, request(halfHour(1)))
	bookingOnUnit(t, db, store, halfHour(0), 1)
	bookingOnUnit(t, db, store, halfHour(2), 2)
	_, err := store.Retake(t.Context(), b.ID)
	require.NoError(t, err)

	b = releasedHold(t, db, store, request(slot(6)))
	fillWithExpired(t, db, store, 2, slot(6))
	_, err = store.Retake(t.Context(), b.ID)
	require.NoError(t, err)
	requireInvariants(t, db)
}

// 32 late payments and holds compete for one slot.
func TestRetake_ConcurrentForOneSlot(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		var ids []string
		for range 32 {
			ids = append(ids, releasedHold(t, db, store, request(slot(0))).ID)
		}
		requireSold(t, 1, concurrently(t, db, 40, func(store *booking.Store, client int) error {
			ctx := context.Background()
			switch {
			case client >= 32:
				_, err := store.Hold(ctx, request(slot(0)))
				return err
			case client%2 == 0:
				return retryInTx(db, store, sql.LevelReadCommitted, func(tx *booking.Tx) error {
					_, err := tx.Retake(ctx, ids[client])
					return err
				})
			}
			_, err := store.Retake(ctx, ids[client])
			return err
		}))
		requireInvariants(t, db)
	})
}

// All calls return the booking, retaken once.
func TestRetake_ConcurrentSameBooking(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := releasedHold(t, db, store, request(slot(0)))
	errs := concurrently(t, db, 16, func(store *booking.Store, _ int) error {
		_, err := store.Retake(context.Background(), b.ID)
		return err
	})
	require.NoError(t, errors.Join(errs...))
	history, err := store.History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Len(t, history, 3)
}
