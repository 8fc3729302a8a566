package booking_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// An interval that ends at an instant no longer includes it, to the microsecond.
func TestPolicy_Terms(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	const day, tick = 24 * time.Hour, time.Microsecond
	fees := booking.Policy{FreeUntil: 2 * day, ClosedFrom: time.Hour, FeePercent: 30, FeeMinor: 100}
	tests := map[string]struct {
		policy  booking.Policy
		before  time.Duration
		amount  int64
		allowed bool
		refund  int64
	}{
		"zero value, just before the start": {booking.Policy{}, tick, 2500, true, 2500},
		"zero value, at the start":          {booking.Policy{}, 0, 2500, false, 0},
		"zero value, after it":              {booking.Policy{}, -day, 2500, false, 0},
		"never, a year before":              {booking.Policy{Never: true, FreeUntil: day}, 365 * day, 2500, false, 0},
		"never, free of charge":             {booking.Policy{Never: true}, day, 0, false, 0},
		"free, last instant":                {fees, 2*day + tick, 2500, true, 2500},
		"fee, first instant":                {fees, 2 * day, 2500, true, 2500 - 750 - 100},
		"fee, last instant":                 {fees, time.Hour + tick, 2500, true, 2500 - 750 - 100},
		"closed, first instant":             {fees, time.Hour, 2500, false, 0},
		"a fee is rounded down":             {booking.Policy{FreeUntil: day, FeePercent: 33}, day, 101, true, 101 - 33},
		"one percent of a small amount":     {booking.Policy{FreeUntil: day, FeePercent: 1}, day, 99, true, 99},
		"100 percent":                       {booking.Policy{FreeUntil: day, FeePercent: 100}, day, 2500, true, 0},
		"fixed fee of the whole amount":     {booking.Policy{FreeUntil: day, FeeMinor: 2500}, day, 2500, true, 0},
		"fixed fee above the amount":        {booking.Policy{FreeUntil: day, FeeMinor: 2501}, day, 2500, true, 0},
		"sum of both above the amount": {booking.Policy{FreeUntil: day, FeePercent: 60, FeeMinor: 1001}, day, 2500,
			true, 0},
		"sum of both just below the amount": {booking.Policy{FreeUntil: day, FeePercent: 60, FeeMinor: 999}, day, 2500,
			true, 1},
		"no fee after free": {booking.Policy{FreeUntil: day}, tick, 2500, true, 2500},
		"of nothing":        {fees, day, 0, true, 0},
		"the largest amount": {booking.Policy{FreeUntil: day, FeePercent: 99}, day, math.MaxInt64, true,
			92233720368547759},
		"the largest fees": {booking.Policy{FreeUntil: day, FeePercent: 100, FeeMinor: math.MaxInt64}, day,
			math.MaxInt64, true, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			amount := booking.Money{Minor: test.amount, Currency: "jpy"}
			terms := test.policy.Terms(start, start.Add(-test.before), amount)
			require.Equal(t, test.allowed, terms.Allowed)
			require.Equal(t, booking.Money{Minor: test.refund, Currency: "jpy"}, terms.Refund)
			require.Equal(t, booking.Money{Minor: test.amount - test.refund, Currency: "jpy"}, terms.Fee)
			if test.policy.Never {
				require.Zero(t, terms.FreeUntil)
				require.Zero(t, terms.Until)
				return
			}
			require.Equal(t, start.Add(-test.policy.FreeUntil), terms.FreeUntil)
			require.Equal(t, start.Add(-test.policy.ClosedFrom), terms.Until)
		})
	}
}

// Written by SQL it makes the resource unreadable, so nothing is sold by it.
func TestPolicy_InvalidInDatabase(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	const set = `UPDATE booking_platform.resources SET policy = $1::jsonb`
	for _, policy := range []string{
		`[]`, `{"fee_percent": 101}`, `{"fee_percent": -1}`, `{"fee_minor": -1}`, `{"closed_from_seconds": 1}`,
		`{"free_until_seconds": -1}`, `{"free_until_seconds": 36028797018967568}`, `{"free_until_seconds": 31536001}`,
	} {
		exec(t, db, set, policy)
		_, err := store.Resource(t.Context(), "court")
		require.Error(t, err, policy)
		_, err = store.Hold(t.Context(), request(slot(0)))
		require.Error(t, err, policy)
	}
	exec(t, db, set, `{"free_until_seconds": 31536000, "later": "unknown"}`)
	r, err := store.Resource(t.Context(), "court")
	require.NoError(t, err)
	require.Equal(t, booking.Policy{FreeUntil: 365 * 24 * time.Hour}, r.Policy)
}

func TestBooking_Terms(t *testing.T) {
	t.Parallel()
	at := slot(0)
	b := booking.Booking{
		Kind: booking.KindBooking, Start: at.Add(time.Hour), Status: booking.StatusConfirmed,
		Amount: booking.Money{Minor: 1000, Currency: "eur"},
		Policy: booking.Policy{FreeUntil: 2 * time.Hour, FeePercent: 25},
	}
	none := booking.Money{Currency: "eur"}
	want := b.Policy.Terms(b.Start, at, b.Amount)
	require.Equal(t, int64(750), want.Refund.Minor)
	require.Equal(t, want, b.Terms(at))
	b.Status, want.Fee, want.Refund = booking.StatusPending, none, none
	require.Equal(t, want, b.Terms(at))
	want.Allowed = true
	require.Equal(t, want, b.Terms(b.Start.Add(time.Hour)), "a hold can always be cancelled")
	for _, status := range []booking.Status{booking.StatusCancelled, booking.StatusCompleted, booking.StatusNoShow,
		booking.StatusExpired} {
		b.Status = status
		require.Equal(t, booking.Terms{Fee: none, Refund: none}, b.Terms(at))
	}
	b.Status, b.Kind = booking.StatusConfirmed, booking.KindBlock
	require.Equal(t, booking.Terms{Fee: none, Refund: none}, b.Terms(at))
}
