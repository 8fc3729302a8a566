package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// setCapacity sets the capacity.
func setCapacity(t testing.TB, store *booking.Store, r booking.Resource, capacity int) error {
	t.Helper()
	r.Capacity = capacity
	before, err := store.Resource(t.Context(), r.ID)
	require.NoError(t, err)
	_, dry := store.ApplyResource(t.Context(), r, booking.ApplyOptions{DryRun: true})
	done, err := store.ApplyResource(t.Context(), r, booking.ApplyOptions{})
	require.Equal(t, dry == nil, err == nil, "a dry run returns the same error: %v", dry)
	after, readErr := store.Resource(t.Context(), r.ID)
	require.NoError(t, readErr)
	if err != nil {
		require.Equal(t, err.Error(), dry.Error())
		require.Equal(t, before, after, "nothing changes")
		require.Zero(t, done)
	} else {
		require.Equal(t, capacity, after.Capacity)
	}
	return err
}

func holdOnUnits(t testing.TB, db *sql.DB, store *booking.Store, req booking.HoldRequest,
	units string) booking.Booking {
	t.Helper()
	b := hold(t, store, req)
	exec(t, db, `UPDATE booking_platform.bookings SET units = $2::int4multirange WHERE id = $1::uuid`, b.ID, units)
	return b
}

// moveBooking is for one that has begun or is over.
func moveBooking(t testing.TB, db *sql.DB, b booking.Booking, from, to time.Time) {
	t.Helper()
	exec(t, db, `UPDATE booking_platform.bookings SET during = tstzrange($2::timestamptz, $3::timestamptz, '[)'),
		blocked = tstzrange($2::timestamptz, $3::timestamptz, '[)') WHERE id = $1::uuid`, b.ID, from, to)
}

func unitsOf(t testing.TB, db *sql.DB, b booking.Booking) (units string) {
	t.Helper()
	require.NoError(t, db.QueryRow(`SELECT units::text FROM booking_platform.bookings WHERE id = $1::uuid`,
		b.ID).Scan(&units))
	return units
}

func party(start time.Time, heads int) booking.HoldRequest {
	req := request(start)
	req.Party = heads
	return req
}

func big(r *booking.Resource) { r.Capacity = 6 }

// The error lists the bookings that are in the way.
func TestLowerCapacity_BelowSold(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, big)
		first := hold(t, store, party(slot(5), 3))
		second := hold(t, store, party(slot(5), 2))
		hold(t, store, party(slot(6), 4))
		hold(t, store, party(slot(4), 4))
		err := setCapacity(t, store, r, 4)
		var small *booking.CapacityError
		require.ErrorAs(t, err, &small)
		require.Equal(t, 4, small.Capacity)
		require.Equal(t, 5, small.Sold)
		require.ElementsMatch(t, []booking.Booking{first, second}, small.Bookings,
			"adjacent bookings do not conflict")
		require.Contains(t, err.Error(), "5 units")
		require.NoError(t, setCapacity(t, store, r, 5))
		requireInvariants(t, db)
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: second.ID})
		require.NoError(t, err)
		require.NoError(t, setCapacity(t, store, r, 4))
		requireInvariants(t, db)
		require.ErrorAs(t, setCapacity(t, store, r, 3), &small)
		require.Len(t, small.Bookings, 2)
	})
}

// Buffers occupy units too.
func TestLowerCapacity_ListsAtMostAHundred(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	r := create(t, store, big, func(r *booking.Resource) { r.BufferAfter = time.Hour })
	var small *booking.CapacityError
	hold(t, store, request(slot(0)))
	hold(t, store, request(slot(1)))
	require.ErrorAs(t, setCapacity(t, store, r, 1), &small)
	require.Len(t, small.Bookings, 2)
	for n := range 60 {
		hold(t, store, request(slot(10+n*2)))
		hold(t, store, request(slot(10+n*2)))
	}
	require.ErrorAs(t, setCapacity(t, store, r, 1), &small)
	require.Len(t, small.Bookings, 100)
	for n, b := range small.Bookings[1:] {
		require.False(t, b.Start.Before(small.Bookings[n].Start))
	}
	require.Equal(t, slot(0), small.Bookings[0].Start)
}

// Even while they are locked.
func TestLowerCapacity_IgnoresPastAndExpired(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, big)
	over := hold(t, store, party(slot(0), 6))
	_, err := store.Confirm(t.Context(), over.ID)
	require.NoError(t, err)
	moveBooking(t, db, over, time.Now().Add(-3*time.Hour), time.Now().Add(-time.Hour))
	lapsed := hold(t, store, party(slot(1), 6))
	expireHolds(t, db, lapsed.ID)
	began := hold(t, store, party(slot(2), 2))
	moveBooking(t, db, began, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	var small *booking.CapacityError
	require.ErrorAs(t, setCapacity(t, store, r, 1), &small)
	require.Equal(t, 2, small.Sold)
	require.NoError(t, setCapacity(t, store, r, 2))
	got, err := store.Get(t.Context(), lapsed.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusExpired, got.Status, "a late confirmation needs existing units")
	got, err = store.Get(t.Context(), over.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, got.Status)
}

// The expired hold is being confirmed by another transaction.
func TestLowerCapacity_WaitsForLateConfirmation(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, big)
	late := hold(t, store, party(slot(1), 6))
	expireHolds(t, db, late.ID)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = store.Tx(tx).ConfirmLate(t.Context(), late.ID)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		r.Capacity = 2
		_, err := store.ApplyResource(context.WithoutCancel(t.Context()), r, booking.ApplyOptions{})
		done <- err
	}()
	require.Eventually(t, func() bool {
		return count(t, db,
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	}, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, tx.Commit())
	var small *booking.CapacityError
	require.ErrorAs(t, <-done, &small)
	require.Equal(t, 6, small.Sold)
	requireInvariants(t, db)
}

// The hold is made by a transaction that commits later.
func TestLowerCapacity_WaitsForHolds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, big)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = store.Tx(tx).Hold(t.Context(), party(slot(1), 6))
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		r.Capacity = 2
		_, err := store.ApplyResource(context.WithoutCancel(t.Context()), r, booking.ApplyOptions{})
		done <- err
	}()
	require.Eventually(t, func() bool {
		return len(done) > 0 || count(t, db,
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	}, 30*time.Second, 5*time.Millisecond)
	require.NoError(t, tx.Commit())
	var small *booking.CapacityError
	require.ErrorAs(t, <-done, &small)
	requireInvariants(t, db)
}

// Bookings on removed units are relocated; nothing else of them changes.
func TestLowerCapacity_RelocatesBookings(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, big)
		stays := holdOnUnits(t, db, store, party(slot(0), 1), "{[2,3)}")
		moves := holdOnUnits(t, db, store, party(slot(0), 2), "{[4,5),[6,7)}")
		swaps := holdOnUnits(t, db, store, party(slot(1), 3), "{[4,7)}")
		before := count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE updated_at <> created_at`)
		require.NoError(t, setCapacity(t, store, r, 3))
		requireInvariants(t, db)
		require.Equal(t, "{[2,3)}", unitsOf(t, db, stays))
		require.Equal(t, "{[1,2),[3,4)}", unitsOf(t, db, moves))
		require.Equal(t, "{[1,4)}", unitsOf(t, db, swaps))
		require.Equal(t, before, count(t, db,
			`SELECT count(*) FROM booking_platform.bookings WHERE updated_at <> created_at`))
		for _, b := range []booking.Booking{stays, moves, swaps} {
			got, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, b, got)
		}
	})
}

// Onto a unit of a past booking that was never completed.
func TestLowerCapacity_RelocatesNextToPastBooking(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, big)
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	place4 := func(n int, units string, from, to time.Time) booking.Booking {
		b := holdOnUnits(t, db, store, request(slot(n)), units)
		_, err := store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		moveBooking(t, db, b, from, to)
		return b
	}
	older := place4(0, "{[3,4)}", ago(9*time.Hour), ago(3*time.Hour))
	past := place4(1, "{[1,2)}", ago(4*time.Hour), ago(time.Hour))
	begun := place4(2, "{[3,4)}", ago(2*time.Hour), ago(-time.Hour))
	next := hold(t, store, request(slot(3)))
	require.NoError(t, setCapacity(t, store, r, 1))
	require.Equal(t, "{[1,2)}", unitsOf(t, db, begun))
	require.Equal(t, "{[1,2)}", unitsOf(t, db, next))
	require.NotEqual(t, "{[1,2)}", unitsOf(t, db, past))
	require.Equal(t, 4, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE active`))
	require.Zero(t, count(t, db, soldTwice))
	require.Zero(t,
		count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE NOT units <@ int4range(1, 10001)`),
		unitsOf(t, db, older))
}

// Lowered to the maximum in use.
func TestLowerCapacity_ListedSlotsCanBeHeld(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	for n := range 4 {
		slug := fmt.Sprint("court-", n)
		r := create(t, store, func(r *booking.Resource) {
			r.Slug, r.Capacity, r.SlotLength, r.SlotStep = slug, 12, time.Hour, time.Duration(20+n%2*40)*time.Minute
		})
		random := rand.New(rand.NewPCG(7, uint64(n)))
		var sold []booking.Booking
		for range 50 {
			req := party(slot(0).Add(time.Duration(random.IntN(18))*r.SlotStep), 1+random.IntN(4))
			req.Resource = slug
			if b, err := store.Hold(t.Context(), req); err == nil {
				sold = append(sold, b)
			} else {
				require.ErrorIs(t, err, booking.ErrSlotTaken)
			}
		}
		for _, b := range sold[:len(sold)/2] {
			_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
			require.NoError(t, err)
		}
		most := count(t, db, `
			SELECT max(heads) FROM (
				SELECT (SELECT sum(o.party) FROM booking_platform.bookings o
					WHERE o.active AND o.resource_id = b.resource_id AND o.blocked @> lower(b.blocked)) AS heads
				FROM booking_platform.bookings b WHERE b.active AND b.resource_id = $1::uuid
			) x`, r.ID)
		var small *booking.CapacityError
		require.ErrorAs(t, setCapacity(t, store, r, most-1), &small)
		require.Equal(t, most, small.Sold)
		require.NoError(t, setCapacity(t, store, r, most))
		requireInvariants(t, db)
		for {
			slots, err := store.Slots(t.Context(), slug, slot(-2), slot(20), 1)
			require.NoError(t, err)
			if len(slots) == 0 {
				break
			}
			s := slots[random.IntN(len(slots))]
			req := party(s.Start, s.Remaining)
			req.Resource = slug
			require.NoError(t, store.Reassign(t.Context(), slug, s.Start, s.Remaining))
			hold(t, store, req)
		}
		requireInvariants(t, db)
	}
}

// 16 clients hold meanwhile. No unit above the capacity, and no deadlock.
func TestLowerCapacity_ConcurrentWithHolds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	store := newStore(t, db)
	r := create(t, store, func(r *booking.Resource) { r.Capacity, r.SlotStep = 24, 30*time.Minute })
	ctx := context.WithoutCancel(t.Context())
	stop := make(chan struct{})
	errs := make(chan error, 64)
	var all sync.WaitGroup
	for n := range 16 {
		own := newStore(t, db)
		all.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(n)))
			var mine []string
			for {
				select {
				case <-stop:
					return
				default:
				}
				req := party(slot(0).Add(time.Duration(random.IntN(8))*30*time.Minute), 1+random.IntN(3))
				b, err := own.Hold(ctx, req)
				if err == nil {
					mine = append(mine, b.ID)
				}
				if len(mine) > 2 {
					_, cancelErr := own.Cancel(ctx, booking.CancelRequest{ID: mine[0]})
					err, mine = errors.Join(err, cancelErr), mine[1:]
				}
				var invalid *booking.ValidationError
				if err != nil && !errors.Is(err, booking.ErrSlotTaken) && !errors.As(err, &invalid) {
					errs <- err
					return
				}
			}
		})
	}
	lowered, refused := 0, 0
	deadline := time.Now().Add(20 * time.Second)
	for n := 0; (lowered < 5 || refused < 1) && time.Now().Before(deadline); n++ {
		r.Capacity = []int{24, 20, 16, 12, 8, 4}[n%6]
		_, err := store.ApplyResource(ctx, r, booking.ApplyOptions{})
		var small *booking.CapacityError
		switch {
		case errors.As(err, &small):
			refused++
			require.NotEmpty(t, small.Bookings)
		default:
			require.NoError(t, err)
			lowered++
			requireInvariants(t, db)
		}
	}
	close(stop)
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Positive(t, lowered)
	requireInvariants(t, db)
}
