package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// booking/doc.go allows to lower it without the store.
func lowerBySQL(t testing.TB, db *sql.DB, capacity int) {
	t.Helper()
	exec(t, db, `UPDATE booking_platform.resources SET capacity = $1::integer`, capacity)
}

func unitsInUse(t testing.TB, db *sql.DB, halfHours int) []int {
	t.Helper()
	heads := make([]int, halfHours)
	for n := range heads {
		heads[n] = count(t, db, `SELECT COALESCE(sum(b.party), 0) FROM booking_platform.bookings b
			WHERE b.status IN ('pending', 'confirmed') AND b.blocked @> $1::timestamptz`, halfHour(n))
	}
	return heads
}

// M15: Units above the lowered capacity count: what is left is sold once, and nothing
// above it.
func TestHold_CapacityLoweredBySQL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		units    []string
		capacity int
		left     int
	}{
		"all above":               {[]string{"{[7,8)}", "{[8,9)}", "{[9,10)}"}, 5, 2},
		"some above":              {[]string{"{[1,2)}", "{[8,9)}", "{[9,10)}"}, 5, 2},
		"at the edge":             {[]string{"{[5,6)}", "{[6,7)}", "{[7,8)}"}, 5, 2},
		"a party across it":       {[]string{"{[4,8)}"}, 5, 1},
		"scattered":               {[]string{"{[2,3),[10,11)}", "{[4,5),[9,10)}"}, 5, 1},
		"as many as the capacity": {[]string{"{[6,11)}"}, 5, 0},
		"more than the capacity":  {[]string{"{[1,4)}", "{[6,11)}"}, 5, 0},
		"down to one":             {[]string{"{[10,11)}"}, 1, 0},
		"none above":              {[]string{"{[1,2)}", "{[3,4)}"}, 5, 3},
		"nothing sold":            {nil, 5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, overlappingSlots(10))
			for _, units := range c.units {
				req := request(slot(0))
				req.Party = 1
				b := holdOnUnits(t, db, store, req, units)
				exec(t, db, `UPDATE booking_platform.bookings 
					SET party = (SELECT sum(upper(u) - lower(u)) FROM unnest(units) AS u)
					WHERE id = $1::uuid`, b.ID)
			}
			lowerBySQL(t, db, c.capacity)
			slots, err := store.Slots(t.Context(), "court", slot(0), slot(0).Add(time.Minute), 1)
			require.NoError(t, err)
			remaining := 0
			for _, s := range slots {
				remaining = s.Remaining
			}
			require.Equal(t, c.left, remaining)
			requireSold(t, c.left, concurrently(t, db, 8, func(store *booking.Store, _ int) error {
				_, err := store.Hold(context.Background(), request(slot(0)))
				return err
			}))
			require.Zero(t, count(t, db, soldTwice))
			require.ErrorIs(t, func() error {
				_, err := store.Hold(t.Context(), request(slot(0)))
				return err
			}(), booking.ErrSlotTaken)
		})
	}
}

// M15: Nothing is sold above the lowered capacity.
func TestCapacityLoweredBySQL_ConcurrentOperations(t *testing.T) {
	t.Parallel()
	const halfHours = 8
	for round := range 6 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, overlappingSlots(8))
			var sold, late []booking.Booking
			for range 14 {
				req := request(halfHour(rand.IntN(halfHours - 1)))
				req.Party = 1 + rand.IntN(3)
				if b, err := store.Hold(t.Context(), req); err == nil {
					sold = append(sold, b)
				}
			}
			for _, b := range sold[:3] {
				expireHolds(t, db, b.ID)
				late = append(late, b)
			}
			_, err := store.ReleaseExpired(t.Context())
			require.NoError(t, err)
			sold = sold[3:]
			capacity := 2 + round
			before := unitsInUse(t, db, halfHours+2)
			lowerBySQL(t, db, capacity)
			errs := concurrently(t, db, 12, func(store *booking.Store, client int) error {
				ctx := context.Background()
				for range 4 {
					var err error
					start := halfHour(rand.IntN(halfHours - 1))
					switch {
					case client < 8:
						req := request(start)
						req.Party = 1 + rand.IntN(2)
						if _, err = store.Hold(ctx, req); req.Party > capacity {
							err = nil
						}
					case client == 8:
						_, err = store.Retake(ctx, late[rand.IntN(len(late))].ID)
					case client == 9:
						_, err = store.Block(ctx,
							booking.BlockRequest{Resource: "court", From: start, To: start.Add(time.Hour), Units: 1})
					default:
						_, err = store.Reschedule(ctx,
							booking.RescheduleRequest{ID: sold[rand.IntN(len(sold))].ID, Start: start})
					}
					if err != nil && !errors.Is(err, booking.ErrSlotTaken) {
						return err
					}
				}
				return nil
			})
			for _, err := range errs {
				require.NoError(t, err)
			}
			require.Zero(t, count(t, db, soldTwice))
			for n, heads := range unitsInUse(t, db, halfHours+2) {
				require.LessOrEqual(t, heads, max(capacity, before[n]), "half hour %d, capacity %d", n, capacity)
			}
		})
	}
}

// M15: Whatever is listed can be held, whichever units the others have.
func TestCapacityLoweredBySQL_OfferedIsHeld(t *testing.T) {
	t.Parallel()
	for round := range 4 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, overlappingSlots(9))
			const capacity, halfHours = 4, 10
			// At most the new capacity, on units of the old one.
			exec(t, db, `UPDATE booking_platform.resources SET capacity = $1::integer`, capacity)
			for range 12 {
				if b, err := store.Hold(t.Context(), request(halfHour(rand.IntN(halfHours)))); err == nil {
					exec(t, db, `UPDATE booking_platform.bookings b SET units = s.units FROM (
						SELECT int4multirange(int4range(u, u + 1)) AS units FROM generate_series(1, 9) AS u
						WHERE NOT EXISTS (SELECT FROM booking_platform.bookings o, booking_platform.bookings self
							WHERE self.id = $1::uuid AND o.id <> self.id AND o.active AND o.blocked && self.blocked
								AND o.units @> u)
						ORDER BY random() LIMIT 1) s WHERE b.id = $1::uuid`, b.ID)
				}
			}
			for range 200 {
				slots, err := store.Slots(t.Context(), "court", halfHour(0), halfHour(halfHours), 1)
				require.NoError(t, err)
				if len(slots) == 0 {
					break
				}
				s := slots[rand.IntN(len(slots))]
				_, err = store.Hold(t.Context(), request(s.Start))
				require.NoError(t, err, "%d remaining", s.Remaining)
			}
			for _, heads := range unitsInUse(t, db, halfHours+2) {
				require.LessOrEqual(t, heads, capacity)
			}
			require.Zero(t, count(t, db, soldTwice))
		})
	}
}

func TestCapacityLoweredBySQL_WaitsForHolds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(),
		`SET LOCAL lock_timeout = '200ms'; UPDATE booking_platform.resources SET capacity = 1`)
	var state interface{ SQLState() string }
	require.ErrorAs(t, err, &state)
	require.Equal(t, "55P03", state.SQLState())
	_, err = db.ExecContext(t.Context(), `UPDATE booking_platform.resources SET capacity = 3`)
	require.NoError(t, err, "raising does not wait")
	require.NoError(t, tx.Commit())
	lowerBySQL(t, db, 1)
	_, err = store.Hold(t.Context(), request(slot(0)))
	require.ErrorIs(t, err, booking.ErrSlotTaken)
}

// The only error is ErrSlotTaken.
func TestCapacityLoweredBySQL_Relocate(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(3))
	bookingOnUnit(t, db, store, halfHour(0), 1)
	bookingOnUnit(t, db, store, halfHour(3), 2)
	for unit := 1; unit <= 3; unit++ {
		bookingOnUnit(t, db, store, halfHour(5), unit)
		bookingOnUnit(t, db, store, halfHour(-2), unit)
	}
	exec(t, db, `UPDATE booking_platform.resources SET capacity = 2`)
	require.NoError(t, store.ReassignRange(t.Context(), "court", halfHour(1), halfHour(4), 1))
	require.Zero(t, count(t, db, soldTwice))
}

// A hold that commits after a relocation has read the bookings and before it blocks holds
// counts, although its unit is not in the way.
func TestCapacityLoweredBySQL_HoldWhileRelocationWaits(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(5))
	for _, b := range []struct{ halfHour, unit int }{{0, 4}, {2, 5}, {0, 1}, {2, 2}} {
		bookingOnUnit(t, db, store, halfHour(b.halfHour), b.unit)
	}
	moved := hold(t, store, request(halfHour(10)))
	lowerBySQL(t, db, 3)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = store.Tx(tx).Hold(t.Context(), request(halfHour(0)))
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() {
		_, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: moved.ID, Start: halfHour(1)})
		done <- err
	}()
	waitForLock(t, db)
	require.NoError(t, tx.Commit())
	require.ErrorIs(t, <-done, booking.ErrSlotTaken)
	require.Equal(t, []int{3, 3, 2, 2}, unitsInUse(t, db, 4))
}
