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

func TestSlots(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, func(r *booking.Resource) { r.Capacity = 5 })
		free := func(party int) (remaining []int) {
			slots, err := store.Slots(t.Context(), "court", slot(0), slot(4), party)
			require.NoError(t, err)
			for n, s := range slots {
				require.Equal(t, time.UTC, s.Start.Location())
				require.Equal(t, s.Start.Add(time.Hour), s.End)
				if party == 0 {
					require.Equal(t, slot(n), s.Start)
				}
				remaining = append(remaining, s.Remaining)
			}
			return remaining
		}
		require.Equal(t, []int{5, 5, 5, 5}, free(0))
		take := func(hours, party int) booking.Booking {
			req := request(slot(hours))
			req.Party = party
			return hold(t, store, req)
		}
		take(0, 2)
		take(0, 1)
		gone := take(1, 5)
		expired := take(2, 4)
		require.Equal(t, []int{2, 1, 5}, free(1))
		require.Equal(t, []int{2, 5}, free(2))
		_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: gone.ID})
		require.NoError(t, err)
		lapse(t, db, expired.ID)
		require.Equal(t, []int{2, 5, 5, 5}, free(1), "an expired hold keeps nobody out")
		require.Equal(t, []int(nil), free(6))

		exec(t, db, `UPDATE booking_platform.resources SET capacity = 2 WHERE id = $1::uuid`, r.ID)
		for _, remaining := range free(1) {
			require.LessOrEqual(t, remaining, 2)
		}
		exec(t, db, `UPDATE booking_platform.resources SET active = false WHERE id = $1::uuid`, r.ID)
		require.Empty(t, free(1))
	})
}

// Whatever is offered can be held, and then is not offered any more; with buffers,
// overlapping slots and parties.
func TestWhatIsOfferedCanBeHeld(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) {
		// Slots and their buffers do not overlap, so that whoever fits fits without
		// anybody being moved.
		r.Capacity, r.SlotStep, r.BufferBefore, r.BufferAfter, r.Notice = 4, 85*time.Minute, 10*time.Minute,
			15*time.Minute, time.Hour
		r.Hours = daily(480, 1500)
	})
	// Yesterday too, where notice leaves nothing.
	from, to := slot(-48), slot(24)
	for sold := 0; ; sold++ {
		party := 1 + sold%3
		slots, err := store.Slots(t.Context(), "court", from, to, party)
		require.NoError(t, err)
		if len(slots) == 0 && party == 1 {
			break
		}
		if len(slots) == 0 {
			continue
		}
		picked := slots[(sold*7)%len(slots)]
		require.GreaterOrEqual(t, picked.Remaining, party)
		tooMany := request(picked.Start)
		if tooMany.Party = picked.Remaining + 1; tooMany.Party <= 4 {
			_, err = store.Hold(t.Context(), tooMany)
			require.ErrorIs(t, err, booking.ErrSlotTaken, "no more than remaining")
		}
		req := request(picked.Start)
		req.Party = party
		b := hold(t, store, req)
		require.Equal(t, picked.End, b.End)
	}
	requireInvariants(t, db)
	for start := from; start.Before(to); start = start.Add(20 * time.Minute) {
		_, err := store.Hold(t.Context(), request(start))
		require.Error(t, err, "nothing was kept back")
	}
}

func TestSlotsRefusesRanges(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store)
	now := time.Now()
	for name, test := range map[string]struct {
		from, to time.Time
		party    int
		fields   []string
	}{
		"empty":        {now, now, 1, []string{"to"}},
		"inverted":     {now, now.Add(-time.Hour), 1, []string{"to"}},
		"long":         {now, now.Add(62*24*time.Hour + 1), 1, []string{"to"}},
		"no instants":  {time.Time{}, time.Time{}, 1, []string{"from", "to"}},
		"year 10000":   {now, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), 1, []string{"to"}},
		"year 1":       {time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), now, 1, []string{"from"}},
		"party":        {now, now.Add(time.Hour), -1, []string{"party"}},
		"all of these": {now, now, -1, []string{"to", "party"}},
	} {
		_, err := store.Slots(t.Context(), "court", test.from, test.to, test.party)
		requireFields(t, err, test.fields...)
		require.NotErrorIs(t, err, booking.ErrNotFound, name)
	}
	slots, err := store.Slots(t.Context(), "court", now, now.Add(62*24*time.Hour), 1)
	require.NoError(t, err)
	require.Len(t, slots, 62*24)
	_, err = store.Slots(t.Context(), "nothing", now, now.Add(time.Hour), 1)
	require.ErrorIs(t, err, booking.ErrNotFound)
}

// A replica that has rules in memory follows every change of them, at its next hold or
// list of slots.
func TestRulesThatHaveChanged(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store)
	warm := func() {
		_, err := store.Slots(t.Context(), "court", slot(0), slot(1), 1)
		require.NoError(t, err)
	}
	price := func(hours int) int64 {
		b := hold(t, store, request(slot(hours)))
		return b.Amount.Minor
	}
	warm()
	require.EqualValues(t, 2500, price(0))
	exec(t, db, `UPDATE booking_platform.resources SET price_minor = 3000`)
	require.EqualValues(t, 3000, price(1), "another price")

	warm()
	exec(t, db, `UPDATE booking_platform.resources SET slot_seconds = 1800, step_seconds = 1800`)
	hold(t, store, request(slot(2).Add(30*time.Minute)))
	warm()
	exec(t, db, `UPDATE booking_platform.resources SET slot_seconds = 3600, step_seconds = 3600`)
	_, err := store.Hold(t.Context(), request(slot(3).Add(30*time.Minute)))
	requireFields(t, err, "start")

	warm()
	for weekday := range 7 {
		exec(t, db, `INSERT INTO booking_platform.opening_hours VALUES ($1::uuid, $2::smallint, 0, 1)`, r.ID, weekday)
	}
	slots, err := store.Slots(t.Context(), "court", slot(0), slot(100), 1)
	require.NoError(t, err)
	require.Empty(t, slots)
	_, err = store.Hold(t.Context(), request(slot(4)))
	requireFields(t, err, "start")
	exec(t, db, `TRUNCATE booking_platform.opening_hours`)
	slots, err = store.Slots(t.Context(), "court", slot(0), slot(100), 1)
	require.NoError(t, err)
	require.NotEmpty(t, slots, "open around the clock again")
	hold(t, store, request(slot(4)))

	exec(t, db, `UPDATE booking_platform.resources SET active = false`)
	_, err = store.Hold(t.Context(), request(slot(5)))
	requireFields(t, err, "resource")
	exec(t, db, `UPDATE booking_platform.resources SET active = true`)
	hold(t, store, request(slot(5)))

	// The slug goes to another resource.
	exec(t, db, `UPDATE booking_platform.resources SET slug = 'old'`)
	other := create(t, store, func(r *booking.Resource) { r.Capacity = 7 })
	require.Equal(t, other.ID, hold(t, store, request(slot(6))).ResourceID)
}

// What a transaction read before it was rolled back was never true, and is not sold by.
func TestRulesThatWereRolledBack(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	exec(t, tx, `UPDATE booking_platform.resources SET price_minor = 1`)
	b, err := store.Tx(tx).Hold(context.Background(), request(slot(0)))
	require.NoError(t, err)
	require.EqualValues(t, 1, b.Amount.Minor)
	require.NoError(t, tx.Rollback())
	exec(t, db, `UPDATE booking_platform.resources SET price_minor = 2`)
	require.EqualValues(t, 2, hold(t, store, request(slot(0))).Amount.Minor)
}
