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

func moveTo(id string, start time.Time) booking.RescheduleRequest {
	return booking.RescheduleRequest{ID: id, Start: start}
}

func allRows(t testing.TB, db *sql.DB) string {
	t.Helper()
	var all string
	require.NoError(t, db.QueryRowContext(t.Context(), `
SELECT COALESCE((SELECT string_agg(b::text, E'\n' ORDER BY b.id) FROM booking_platform.bookings b), '') || E'\n' ||
       COALESCE((SELECT string_agg(h::text, E'\n' ORDER BY h.id)
       FROM booking_platform.booking_history h), '')`).Scan(&all))
	return all
}

func TestReschedule_MovesBooking(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) {
			r.Capacity, r.BufferAfter, r.SlotStep = 3, 10*time.Minute, time.Hour
		})
		req := keyed(slot(0))
		req.Party, req.Metadata = 2, map[string]string{"seat": "window"}
		held := hold(t, store, req)
		confirmed, err := store.Confirm(t.Context(), held.ID)
		require.NoError(t, err)
		exec(t, db, `UPDATE booking_platform.resources SET price_minor = 3000`)
		ctx := booking.WithActor(t.Context(), "user:ada")

		got, err := store.Reschedule(ctx, booking.RescheduleRequest{ID: held.ID, Start: slot(5), Reason: "rain"})
		require.NoError(t, err)
		require.Equal(t, booking.Money{Minor: 1000, Currency: "eur"}, got.Difference)
		want := confirmed
		want.Start, want.End, want.Sequence, want.UpdatedAt = slot(5), slot(6), 1, got.UpdatedAt
		require.Equal(t, want, got.Booking)
		require.True(t, got.UpdatedAt.After(confirmed.UpdatedAt))
		stored, err := store.Get(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, got.Booking, stored)

		// The old slot is free, the new one and its buffer are not.
		other := request(slot(0))
		other.Party = 3
		hold(t, store, other)
		for _, start := range []time.Time{slot(5), slot(6)} {
			other.Start = start
			_, err = store.Hold(t.Context(), other)
			require.ErrorIs(t, err, booking.ErrSlotTaken)
		}

		history, err := store.History(t.Context(), held.ID)
		require.NoError(t, err)
		last := history[len(history)-1]
		require.Equal(t, booking.Change{
			At: last.At, From: booking.StatusConfirmed, To: booking.StatusConfirmed, FromStart: slot(0),
			ToStart: slot(5),
			Actor:   "user:ada", Reason: "rain",
		}, last)

		// A repeat changes nothing.
		before := allRows(t, db)
		again, err := store.Reschedule(ctx, moveTo(held.ID, slot(5)))
		require.NoError(t, err)
		require.Equal(t, got, again)
		require.Equal(t, before, allRows(t, db))
		// A repeated hold returns the moved booking.
		repeated, err := store.Hold(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, held.ID, repeated.ID)
		requireInvariants(t, db)
	})
}

// At capacity 1, pending or confirmed, back and forth.
func TestReschedule_OverlapsItself(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, overlappingSlots(1))
		b := hold(t, store, request(halfHour(0)))
		for i, n := range []int{1, 2, 1, 0, -1} {
			got, err := store.Reschedule(t.Context(), moveTo(b.ID, halfHour(n)))
			require.NoError(t, err)
			require.Equal(t, halfHour(n), got.Start)
			require.Equal(t, i+1, got.Sequence)
			require.Equal(t, booking.Money{Currency: "eur"}, got.Difference)
		}
		hold(t, store, request(halfHour(1)))
		_, err := store.Reschedule(t.Context(), moveTo(b.ID, halfHour(0)))
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		requireInvariants(t, db)
		require.Equal(t, 2, count(t, db, `SELECT count(*) FROM booking_platform.bookings`), "temporary rows are left")
	})
}

// Units, sequence, history and key stay unchanged.
func TestReschedule_Refused(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2), func(r *booking.Resource) {
		r.Notice, r.Horizon = 20*time.Hour, 100*time.Hour
		r.Offers = []booking.Offer{{Slug: "long", Name: "Long", SlotLength: 2 * time.Hour, SlotStep: time.Hour,
			Price: booking.Money{Currency: "eur"}}}
	})
	req := keyed(slot(0))
	req.Party = 2
	b := hold(t, store, req)
	hold(t, store, request(slot(5)))
	long := request(slot(8))
	long.Offer = "long"
	offered := hold(t, store, long)
	lapsed, ended := hold(t, store, request(slot(11))), hold(t, store, request(slot(12)))
	expireHolds(t, db, lapsed.ID)
	_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: ended.ID})
	require.NoError(t, err)
	block, err := store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(14), To: slot(15)})
	require.NoError(t, err)
	before := allRows(t, db)

	for name, test := range map[string]struct {
		req  booking.RescheduleRequest
		want func(err error)
	}{
		"full": {moveTo(b.ID, slot(5)), func(err error) { require.ErrorIs(t, err, booking.ErrSlotTaken) }},
		"half full": {moveTo(b.ID, slot(4).Add(30*time.Minute)),
			func(err error) { require.ErrorIs(t, err, booking.ErrSlotTaken) }},
		"no slot": {moveTo(b.ID, slot(3).Add(time.Minute)), func(err error) { requireFields(t, err, "start") }},
		"not a slot of the offer": {moveTo(offered.ID, slot(3).Add(30*time.Minute)),
			func(err error) { requireFields(t, err, "start") }},
		"too soon": {moveTo(b.ID, slot(-10)), func(err error) { requireFields(t, err, "start") }},
		"too far":  {moveTo(b.ID, slot(99)), func(err error) { requireFields(t, err, "start") }},
		"no time":  {moveTo(b.ID, time.Time{}), func(err error) { requireFields(t, err, "start") }},
		"year 10000": {moveTo(b.ID, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)),
			func(err error) { requireFields(t, err, "start") }},
		"a reason": {booking.RescheduleRequest{ID: b.ID, Start: slot(3), Reason: "\x00"},
			func(err error) { requireFields(t, err, "reason") }},
		"unknown": {moveTo("019a2b3c-0000-7000-8000-000000000000", slot(3)),
			func(err error) { require.ErrorIs(t, err, booking.ErrNotFound) }},
		"no id": {moveTo("x", slot(3)), func(err error) { require.ErrorIs(t, err, booking.ErrNotFound) }},
		"hold expired": {moveTo(lapsed.ID, slot(3)),
			func(err error) { require.ErrorIs(t, err, booking.ErrHoldExpired) }},
		"cancelled": {moveTo(ended.ID, slot(3)), func(err error) {
			var status *booking.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, booking.StatusError{ID: ended.ID, Status: booking.StatusCancelled, Op: "reschedule"},
				*status)
		}},
		"a block": {moveTo(block.ID, slot(3)), func(err error) { require.ErrorAs(t, err, new(*booking.StatusError)) }},
	} {
		t.Log(name)
		_, err := store.Reschedule(t.Context(), test.req)
		require.Error(t, err)
		test.want(err)
		require.Equal(t, before, allRows(t, db), name)
	}

	for _, test := range []struct{ change, field string }{
		{`UPDATE booking_platform.offers SET active = false`, "offer"},
		{`DELETE FROM booking_platform.offers`, "offer"},
		{`UPDATE booking_platform.resources SET active = false`, "resource"},
	} {
		exec(t, db, test.change)
		_, err := store.Reschedule(t.Context(), moveTo(offered.ID, slot(4)))
		var invalid *booking.ValidationError
		require.ErrorAs(t, err, &invalid, test.change)
		require.Contains(t, invalid.Fields, test.field)
	}
	require.Equal(t, before, allRows(t, db))
}

// The offer's length, grid, buffers and price apply.
func TestReschedule_Offer(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) {
		r.Offers = []booking.Offer{{Slug: "short", Name: "Short", SlotLength: 20 * time.Minute,
			BufferAfter: 10 * time.Minute, Price: booking.Money{Minor: 900, Currency: "eur"}}}
	})
	req := request(slot(0))
	req.Offer = "short"
	b := hold(t, store, req)
	exec(t, db, `UPDATE booking_platform.offers SET price_minor = 500`)
	got, err := store.Reschedule(t.Context(), moveTo(b.ID, slot(2).Add(20*time.Minute)))
	require.NoError(t, err)
	require.Equal(t, "short", got.Offer)
	require.Equal(t, 20*time.Minute, got.End.Sub(got.Start))
	require.Equal(t, booking.Money{Minor: -400, Currency: "eur"}, got.Difference)
	require.Equal(t, int64(900), got.Amount.Minor)
	_, err = store.Hold(t.Context(), request(slot(2)))
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings
		WHERE upper(blocked) = upper(during) + interval '10 minutes'`))
	exec(t, db, `UPDATE booking_platform.resources SET currency = 'chf'`)
	got, err = store.Reschedule(t.Context(), moveTo(b.ID, slot(4)))
	require.NoError(t, err)
	require.Zero(t, got.Difference, "prices in two currencies have none")
}

// Customers can move while cancelling is free; staff always can.
func TestReschedule_ByCustomer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy  booking.Policy
		allowed bool
	}{
		"free until it begins": {booking.Policy{}, true},
		"free long before":     {booking.Policy{FreeUntil: 12 * time.Hour, FeePercent: 10}, true},
		"no longer free":       {booking.Policy{FreeUntil: 48 * time.Hour, FeePercent: 10}, false},
		"never":                {booking.Policy{Never: true}, false},
	} {
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.Policy = test.policy })
		b := hold(t, store, request(slot(0)))
		before := allRows(t, db)
		req := moveTo(b.ID, slot(5))
		req.ByCustomer = true
		_, err := store.Reschedule(t.Context(), req)
		if test.allowed {
			require.NoError(t, err, name)
			// It has begun, which ends a policy that is free until then.
			exec(t, db, `UPDATE booking_platform.bookings SET during = tstzrange(statement_timestamp(), upper(during))
				, blocked = tstzrange(statement_timestamp(), upper(blocked)) WHERE id = $1::uuid`, b.ID)
			before = allRows(t, db)
			req.Start = slot(7)
			_, err = store.Reschedule(t.Context(), req)
		}
		require.ErrorIs(t, err, booking.ErrPolicy, name)
		require.Equal(t, before, allRows(t, db))
		req.ByCustomer = false
		_, err = store.Reschedule(t.Context(), req)
		require.NoError(t, err, "the policy does not bind staff")
	}
}

// In the store's and in callers' transactions.
func TestReschedule_ExpiredHoldInTheWay(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, overlappingSlots(2))
		b := hold(t, store, request(slot(0)))
		expired := fillWithExpired(t, db, store, 2, slot(4))
		_, err := store.Reschedule(t.Context(), moveTo(b.ID, slot(4)))
		require.NoError(t, err)
		expired = append(expired, fillWithExpired(t, db, store, 2, slot(8))...)
		tx, err := db.BeginTx(t.Context(), readCommitted)
		require.NoError(t, err)
		_, err = store.Tx(tx).Reschedule(t.Context(), moveTo(b.ID, slot(8)))
		require.NoError(t, err)
		require.NoError(t, tx.Rollback())
		for _, id := range expired {
			got, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, booking.StatusExpired, got.Status)
		}
		requireInvariants(t, db)
	})
}

func TestReschedule_RelocatesNeighbours(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(2))
	b := hold(t, store, request(slot(9)))
	left, right := bookingOnUnit(t, db, store, halfHour(0), 1), bookingOnUnit(t, db, store, halfHour(2), 2)
	// It overlaps the end of one and the beginning of the other.
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = store.Tx(tx).Reschedule(t.Context(), moveTo(b.ID, halfHour(1)))
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, unitsOfBooking(t, db, left.ID), unitsOfBooking(t, db, right.ID))
	require.Equal(t, 3, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	requireInvariants(t, db)
}

// A move waits for the open transaction and follows its result; the caller's transaction
// stays usable.
func TestReschedule_SlotTakenMeanwhile(t *testing.T) {
	t.Parallel()
	for _, joined := range []bool{false, true} {
		for _, commits := range []bool{false, true} {
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store)
			b := hold(t, store, request(slot(0)))
			before := allRows(t, db)
			other, err := db.BeginTx(t.Context(), readCommitted)
			require.NoError(t, err)
			taken, err := store.Tx(other).Hold(t.Context(), request(slot(3)))
			require.NoError(t, err)
			tx, err := db.BeginTx(t.Context(), readCommitted)
			require.NoError(t, err)
			answer := make(chan error)
			go func() {
				var err error
				if joined {
					_, err = store.Tx(tx).Reschedule(context.Background(), moveTo(b.ID, slot(3)))
				} else {
					_, err = store.Reschedule(context.Background(), moveTo(b.ID, slot(3)))
				}
				answer <- err
			}()
			waitForLock(t, db)
			if commits {
				require.NoError(t, other.Commit())
				require.ErrorIs(t, <-answer, booking.ErrSlotTaken)
			} else {
				require.NoError(t, other.Rollback())
				require.NoError(t, <-answer)
			}
			exec(t, tx, `SELECT 1`)
			require.NoError(t, tx.Commit())
			if commits {
				_, err = store.Release(t.Context(), taken.ID)
				require.NoError(t, err)
				exec(t, db, `DELETE FROM booking_platform.bookings WHERE id = $1::uuid`, taken.ID)
				exec(t, db, `DELETE FROM booking_platform.booking_history WHERE booking_id = $1::uuid`, taken.ID)
				require.Equal(t, before, allRows(t, db))
			}
			requireInvariants(t, db)
		}
	}
}

// At each isolation level, in a transaction opened long ago: refused and still usable,
// committed, rolled back.
func TestReschedule_InCallersTx(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store, overlappingSlots(1))
			b := hold(t, store, request(slot(0)))
			hold(t, store, request(slot(3)))
			before := allRows(t, db)
			for _, commits := range []bool{false, true} {
				tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: level})
				require.NoError(t, err)
				exec(t, tx, `SELECT 1`)
				joined := store.Tx(tx)
				_, err = joined.Reschedule(t.Context(), moveTo(b.ID, slot(3)))
				require.ErrorIs(t, err, booking.ErrSlotTaken)
				_, err = joined.Reschedule(t.Context(), moveTo(b.ID, slot(3).Add(time.Minute)))
				requireFields(t, err, "start")
				_, err = joined.Reschedule(t.Context(), moveTo(b.ID, halfHour(1)))
				require.NoError(t, err)
				got, err := joined.Reschedule(t.Context(), moveTo(b.ID, halfHour(2)))
				require.NoError(t, err, "twice in one transaction")
				require.Equal(t, 2, got.Sequence)
				_, err = joined.Hold(t.Context(), request(halfHour(0)))
				require.NoError(t, err, "it sees units that it freed itself")
				if commits {
					require.NoError(t, tx.Commit())
					requireInvariants(t, db)
				} else {
					require.NoError(t, tx.Rollback())
					require.Equal(t, before, allRows(t, db))
				}
			}
		})
	}
}
