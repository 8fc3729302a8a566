package pages_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/pages"
)

// Two slots at the same local time have the zone abbreviation.
func TestByDay_ClocksPutBack(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	var slots []booking.Slot
	for at := time.Date(2026, 10, 24, 23, 0, 0, 0, time.UTC); len(slots) < 25; at = at.Add(time.Hour) {
		slots = append(slots, booking.Slot{Start: at, End: at.Add(time.Hour), Remaining: 2})
	}
	days := pages.ByDay(locale.Locale{}, slots, zone, booking.Date{Year: 2026, Month: time.October, Day: 25}, 2,
		slots[2].Start)
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
