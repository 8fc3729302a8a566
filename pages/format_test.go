package pages_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/pages"
)

// M4.
func TestAmount_Currencies(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]booking.Money{
		"EUR 12.50": {Minor: 1250, Currency: "eur"}, "EUR 0.05": {Minor: 5, Currency: "eur"},
		"EUR 0.00":  {Currency: "eur"},
		"UGX 50000": {Minor: 5000000, Currency: "ugx"}, "ISK 12": {Minor: 1200, Currency: "isk"},
		"EUR -0.05": {Minor: -5, Currency: "eur"},
		"JPY 1250":  {Minor: 1250, Currency: "jpy"}, "KWD 1.250": {Minor: 1250, Currency: "KWD"},
		"USD 1000000.00": {Minor: 100000000, Currency: "usd"},
	} {
		require.Equal(t, want, pages.Amount(m))
	}
}

func TestLength_Units(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1 hour", pages.Length(time.Hour))
	require.Equal(t, "90 minutes", pages.Length(90*time.Minute))
	require.Equal(t, "2 days", pages.Length(48*time.Hour))
}

// Two slots at the same local time have the zone abbreviation.
func TestByDay_ClocksPutBack(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	var slots []booking.Slot
	for at := time.Date(2026, 10, 24, 23, 0, 0, 0, time.UTC); len(slots) < 25; at = at.Add(time.Hour) {
		slots = append(slots, booking.Slot{Start: at, End: at.Add(time.Hour), Remaining: 2})
	}
	days := pages.ByDay(slots, zone, booking.Date{Year: 2026, Month: time.October, Day: 25}, 2, slots[2].Start)
	require.Len(t, days, 7)
	require.Equal(t, "Sunday", days[0].Weekday)
	require.Equal(t, "25 October", days[0].Date)
	require.Len(t, days[1].Slots, 1)
	require.Empty(t, days[2].Slots)
	require.Len(t, days[0].Slots, 24, "from one o'clock on; the day has 25 hours")
	require.Equal(t, "02:00 CEST", days[0].Slots[1].Time)
	require.Equal(t, "02:00 CET", days[0].Slots[2].Time)
	require.Equal(t, "03:00", days[0].Slots[3].Time)
	require.True(t, days[0].Slots[2].Checked)
	require.False(t, days[0].Slots[1].Checked)
	require.Equal(t, "2026-10-25T02:00:00+01:00", days[0].Slots[2].Value)
	require.Equal(t, "2 left", days[0].Slots[2].Left)
}

func TestWhen_OtherDay(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Tokyo")
	require.NoError(t, err)
	start := time.Date(2026, 12, 1, 14, 0, 0, 0, time.UTC)
	require.Equal(t, "Tuesday, 1 December 2026, 23:00 to 23:45 (Asia/Tokyo)",
		pages.When(booking.Booking{Start: start, End: start.Add(45 * time.Minute)}, zone))
	require.Equal(t, "Tuesday, 1 December 2026, 23:00 to Wednesday, 2 December 2026, 01:00 (Asia/Tokyo)",
		pages.When(booking.Booking{Start: start, End: start.Add(2 * time.Hour)}, zone))
}

// What a policy costs, before a time is chosen.
func TestDescribePolicyBefore(t *testing.T) {
	t.Parallel()
	eur := func(minor int64) booking.Money { return booking.Money{Minor: minor, Currency: "eur"} }
	for _, c := range []struct {
		policy booking.Policy
		price  booking.Money
		want   string
	}{
		{booking.Policy{}, eur(2500), "You may cancel free of charge until it begins, and not after that."},
		{booking.Policy{Never: true}, eur(2500), "It can be neither cancelled nor moved."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: 48 * time.Hour}, eur(2500),
			"You may cancel free of charge until 2 days before it begins, and not after that."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: 2 * time.Hour, FeePercent: 50, FeeMinor: 500}, eur(5000),
			"You may cancel free of charge until 2 days before it begins. After that, and until 2 hours before it begins, " +
				"EUR 30.00 of EUR 50.00 is kept."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: time.Hour}, eur(2500),
			"You may cancel free of charge until 1 hour before it begins, and not after that."},
		{booking.Policy{FreeUntil: 365 * 24 * time.Hour, FeePercent: 100}, eur(2500),
			"You may cancel free of charge until 365 days before it begins. After that, and until it begins, " +
				"EUR 25.00 of EUR 25.00 is kept."},
		{booking.Policy{FreeUntil: 48 * time.Hour, ClosedFrom: time.Hour, FeePercent: 50}, eur(0),
			"You may cancel until 1 hour before it begins."},
	} {
		require.Equal(t, c.want, pages.DescribePolicyBefore(c.policy, c.price))
	}
}
