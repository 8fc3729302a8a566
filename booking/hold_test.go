package booking_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestHoldConfirmCancel(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		resource := create(t, store, func(r *booking.Resource) {
			r.Capacity, r.BufferBefore, r.BufferAfter = 4, 5*time.Minute, 10*time.Minute
		})
		start := slot(0)
		req := booking.HoldRequest{
			Resource: resource.ID, Start: start.In(time.FixedZone("", 3600)), Party: 3, Customer: ada,
			Reference:      "order 7",
			IdempotencyKey: "key", Metadata: map[string]string{"note": "it's \"quoted\" \\ <b>\n", "é": "ü"},
		}
		held := hold(t, store, req)
		require.Equal(t, booking.Booking{
			ID: held.ID, Kind: booking.Sold, ResourceID: resource.ID, Start: start, End: start.Add(time.Hour), Party: 3,
			Status:        booking.Pending,
			HoldExpiresAt: held.CreatedAt.Add(35 * time.Minute), Customer: ada,
			Amount:    booking.Money{Minor: 7500, Currency: "eur"},
			Reference: "order 7", IdempotencyKey: "key", Metadata: req.Metadata, CreatedAt: held.CreatedAt,
			UpdatedAt: held.CreatedAt,
		}, held)
		require.WithinDuration(t, time.Now(), held.CreatedAt, time.Minute)

		stored, err := store.Get(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, held, stored, "what Hold returns is what is stored")

		_, err = store.Hold(t.Context(), booking.HoldRequest{Resource: "court", Start: start, Party: 2, Customer: ada})
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		require.EqualError(t, err, "booking: hold: slot is taken")

		confirmed, err := store.Confirm(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, booking.Confirmed, confirmed.Status)
		require.True(t, confirmed.UpdatedAt.After(held.UpdatedAt))
		again, err := store.Confirm(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, confirmed, again)

		list, err := store.List(t.Context(), booking.ListOptions{Resource: "court", Reference: "order 7",
			Statuses: []booking.Status{booking.Confirmed}})
		require.NoError(t, err)
		require.Equal(t, booking.Page{Bookings: []booking.Booking{confirmed}}, list)

		extended, err := store.Extend(t.Context(), hold(t, store, request(slot(5))).ID, slot(0))
		require.NoError(t, err)
		require.Equal(t, slot(0), extended.HoldExpiresAt)

		cancelled, err := store.Cancel(t.Context(), booking.CancelRequest{ID: held.ID, Reason: "rain"})
		require.NoError(t, err)
		require.Equal(t, booking.Cancelled, cancelled.Status)
		require.Equal(t, 4, hold(t, store,
			booking.HoldRequest{Resource: "court", Start: start, Party: 4, Customer: ada}).Party)
		requireInvariants(t, db)
	})
}

func TestBuffersKeepNeighboursAway(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store, func(r *booking.Resource) { r.BufferBefore, r.BufferAfter = time.Hour, 2*time.Hour })
	hold(t, store, request(slot(10)))
	for _, hours := range []int{7, 8, 9, 11, 12, 13} {
		_, err := store.Hold(t.Context(), request(slot(hours)))
		require.ErrorIs(t, err, booking.ErrSlotTaken, "%d", hours)
	}
	hold(t, store, request(slot(6)))
	hold(t, store, request(slot(14)))
}

func TestNoticeAndHorizonAreJudgedByTheDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Notice, r.Horizon = 26*time.Hour, 50*time.Hour })
	hold(t, store, request(slot(5)))
	for _, hours := range []int{-30, 0, 1, 27, 1000} {
		// The first refuses by rules it has just read, the second has them in memory and
		// leaves it to the statement.
		for _, s := range []*booking.Store{newStore(t, db), store} {
			_, err := s.Hold(t.Context(), request(slot(hours)))
			requireFields(t, err, "start")
		}
	}
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
}

func TestUnknownResource(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	for _, resource := range []string{"nothing", "Not A Slug", "019a2b3c-0000-7000-8000-000000000000", "\x00"} {
		req := request(slot(0))
		req.Resource = resource
		_, err := store.Hold(t.Context(), req)
		requireFields(t, err, "resource")
		require.ErrorIs(t, err, booking.ErrNotFound)
	}
}
