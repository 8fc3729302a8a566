package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/api"
)

func TestLocalTime(t *testing.T) {
	t.Parallel()
	paris, err := time.LoadLocation("Europe/Paris")
	require.NoError(t, err)
	lordHowe, err := time.LoadLocation("Australia/Lord_Howe")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		zone        *time.Location
		date, clock string
		want        string
	}{
		"winter":                       {paris, "2026-12-01", "10:00", "2026-12-01T10:00:00+01:00"},
		"summer":                       {paris, "2026-07-01", "10:00", "2026-07-01T10:00:00+02:00"},
		"before the clocks go back":    {paris, "2026-10-25", "01:59", "2026-10-25T01:59:00+02:00"},
		"comes twice: the first":       {paris, "2026-10-25", "02:30", "2026-10-25T02:30:00+02:00"},
		"after the clocks went back":   {paris, "2026-10-25", "03:00", "2026-10-25T03:00:00+01:00"},
		"left out":                     {paris, "2027-03-28", "02:30", ""},
		"first after what is left":     {paris, "2027-03-28", "03:00", "2027-03-28T03:00:00+02:00"},
		"half an hour, comes twice":    {lordHowe, "2026-04-05", "01:45", "2026-04-05T01:45:00+11:00"},
		"half an hour, left out":       {lordHowe, "2026-10-04", "02:15", ""},
		"the morning after the change": {paris, "2026-10-26", "02:30", "2026-10-26T02:30:00+01:00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			day, err := time.Parse(time.DateOnly, c.date)
			require.NoError(t, err)
			clock, err := time.Parse("15:04", c.clock)
			require.NoError(t, err)
			at, exists := api.LocalTime(day, clock, c.zone)
			if c.want == "" {
				require.False(t, exists, at)
				return
			}
			require.True(t, exists)
			require.Equal(t, c.want, at.Format(time.RFC3339))
		})
	}
}
