package booking_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func utc(t testing.TB, texts ...string) []time.Time {
	t.Helper()
	out := []time.Time{}
	for _, text := range texts {
		at, err := time.Parse("2006-01-02 15:04", text)
		require.NoError(t, err)
		out = append(out, at)
	}
	return out
}

// Days of clock changes and other unusual ones, far enough ahead for any clock.
func TestSlots_Zones(t *testing.T) {
	t.Parallel()
	hour, half := time.Hour, 30*time.Minute
	tests := map[string]struct {
		zone         string
		length, step time.Duration
		hours        []booking.Hours
		// From noon of one day to noon of another.
		from, to string
		want     []string
		// Instants that are no slots.
		none []string
	}{
		"Paris, skipped hour": {
			"Europe/Paris", hour, hour, daily(60, 300), "2032-03-27", "2032-03-28",
			// 1:00+1, 3:00+2, 4:00+2
			[]string{"2032-03-28 00:00", "2032-03-28 01:00", "2032-03-28 02:00"},
			[]string{"2032-03-28 00:30", "2032-03-28 03:00"},
		},
		"Paris, repeated hour": {
			"Europe/Paris", hour, hour, daily(60, 240), "2032-10-30", "2032-10-31",
			// 1:00+2, 2:00+2, 2:00+1, 3:00+1
			[]string{"2032-10-30 23:00", "2032-10-31 00:00", "2032-10-31 01:00", "2032-10-31 02:00"},
			[]string{"2032-10-31 03:00"},
		},
		"New York, skipped hour": {
			"America/New_York", hour, hour, daily(60, 300), "2032-03-13", "2032-03-14",
			// 1:00-5, 3:00-4, 4:00-4
			[]string{"2032-03-14 06:00", "2032-03-14 07:00", "2032-03-14 08:00"},
			[]string{"2032-03-14 05:00", "2032-03-14 09:00"},
		},
		"New York, repeated hour": {
			"America/New_York", hour, hour, daily(60, 180), "2032-11-06", "2032-11-07",
			// 1:00-4, 1:00-5, 2:00-5
			[]string{"2032-11-07 05:00", "2032-11-07 06:00", "2032-11-07 07:00"}, []string{"2032-11-07 08:00"},
		},
		"Lord Howe, skipped half hour": {
			"Australia/Lord_Howe", half, half, daily(60, 240), "2032-10-02", "2032-10-03",
			// 1:00+10:30, 1:30+10:30, 2:30+11, 3:00+11, 3:30+11
			[]string{"2032-10-02 14:30", "2032-10-02 15:00", "2032-10-02 15:30", "2032-10-02 16:00",
				"2032-10-02 16:30"}, []string{"2032-10-02 17:00"},
		},
		"Lord Howe, repeated half hour": {
			"Australia/Lord_Howe", half, half, daily(60, 150), "2032-04-03", "2032-04-04",
			// 1:00+11, 1:30+11, 1:30+10:30, 2:00+10:30
			[]string{"2032-04-03 14:00", "2032-04-03 14:30", "2032-04-03 15:00", "2032-04-03 15:30"},
			[]string{"2032-04-03 16:00"},
		},
		"Kathmandu, three quarters": {
			"Asia/Kathmandu", hour, hour, daily(600, 720), "2032-05-04", "2032-05-05",
			[]string{"2032-05-05 04:15", "2032-05-05 05:15"}, []string{"2032-05-05 04:00"},
		},
		"Apia, a day ahead": {
			"Pacific/Apia", hour, hour, daily(540, 660), "2032-05-04", "2032-05-05",
			[]string{"2032-05-04 20:00", "2032-05-04 21:00"}, []string{"2032-05-05 09:00"},
		},
		"the end of the year": {
			"Europe/Paris", hour, hour, daily(1380, 1500), "2032-12-31", "2033-01-01",
			[]string{"2032-12-31 22:00", "2032-12-31 23:00"}, []string{"2033-01-01 00:00"},
		},
		"into the leap day and out of it, two hours at a time": {
			"Europe/Paris", 2 * hour, hour, daily(1380, 1560), "2032-02-28", "2032-03-01",
			[]string{"2032-02-28 22:00", "2032-02-28 23:00", "2032-02-29 22:00", "2032-02-29 23:00"},
			[]string{"2032-02-29 00:00", "2032-02-29 21:00"},
		},
	}
	db := testdb.New(t)
	store := newStore(t, db)
	n := 0
	for name, test := range tests {
		n++
		slug := fmt.Sprintf("zone-%d", n)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			create(t, store, func(r *booking.Resource) {
				r.Slug, r.TimeZone, r.Hours, r.SlotLength, r.SlotStep = slug, test.zone, test.hours, test.length,
					test.step
				// A slot that overlaps needs another unit.
				r.Horizon, r.Capacity = 3650*24*time.Hour, 2
			})
			want, noon := utc(t, test.want...), utc(t, test.from+" 12:00", test.to+" 12:00")
			slots, err := store.Slots(t.Context(), slug, noon[0], noon[1], 1)
			require.NoError(t, err)
			got := []time.Time{}
			for _, s := range slots {
				require.Equal(t, test.length, s.End.Sub(s.Start), "real time")
				got = append(got, s.Start)
			}
			require.Equal(t, want, got)
			req := request(time.Time{})
			req.Resource = slug
			for _, req.Start = range want {
				b := hold(t, store, req)
				require.Equal(t, req.Start, b.Start)
				require.Equal(t, req.Start.Add(test.length), b.End)
			}
			for _, req.Start = range utc(t, test.none...) {
				_, err := store.Hold(t.Context(), req)
				requireFields(t, err, "start")
			}
		})
	}
}

// Four hours by the wall clock are three that night, so the slot of midnight overlaps the
// next.
func TestSlots_OverlapAcrossSkippedHour(t *testing.T) {
	t.Parallel()
	store := newStore(t, testdb.New(t))
	create(t, store, func(r *booking.Resource) { r.SlotLength, r.Horizon = 4*time.Hour, 3650*24*time.Hour })
	at := utc(t, "2032-03-27 23:00", "2032-03-28 02:00", "2032-03-28 06:00")
	starts := func() (out []time.Time) {
		slots, err := store.Slots(t.Context(), "court", at[0], at[2].Add(1), 1)
		require.NoError(t, err)
		for _, s := range slots {
			out = append(out, s.Start)
		}
		return out
	}
	require.Equal(t, at, starts())
	hold(t, store, request(at[0]))
	require.Equal(t, at[2:], starts())
	_, err := store.Hold(t.Context(), request(at[1]))
	require.ErrorIs(t, err, booking.ErrSlotTaken)
}

// The booking keeps its instants, blocks what overlaps it in elapsed time, and can be
// confirmed, repeated and moved; new slots follow the new rules.
func TestHold_ZoneChangedAfterSale(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	r := create(t, store, func(r *booking.Resource) { r.Hours, r.Horizon = daily(540, 720), 3650*24*time.Hour })
	starts := func() (out []time.Time) {
		day := utc(t, "2032-01-14 00:00", "2032-01-15 00:00")
		slots, err := store.Slots(t.Context(), "court", day[0], day[1], 1)
		require.NoError(t, err)
		for _, s := range slots {
			out = append(out, s.Start)
		}
		return out
	}
	require.Equal(t, utc(t, "2032-01-14 08:00", "2032-01-14 09:00", "2032-01-14 10:00"), starts(),
		"9:00 to 12:00 in Paris")
	eight := utc(t, "2032-01-14 08:00")[0]
	eightKeyed, ten := keyed(eight), utc(t, "2032-01-14 10:00")[0]
	first, last := hold(t, store, eightKeyed), hold(t, store, request(ten))

	// As if Paris changed to the rules of Athens.
	r.TimeZone = "Europe/Athens"
	apply(t, store, r)
	require.Equal(t, utc(t, "2032-01-14 07:00", "2032-01-14 09:00"), starts(),
		"the booking keeps its time")
	for _, b := range []booking.Booking{first, last} {
		got, err := store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, []time.Time{b.Start, b.End}, []time.Time{got.Start, got.End})
	}
	require.Equal(t, first.ID, hold(t, store, eightKeyed).ID)
	_, err := store.Hold(t.Context(), request(ten))
	requireFields(t, err, "start")
	stays, err := store.Reschedule(t.Context(), moveTo(last.ID, ten))
	require.NoError(t, err)
	require.Zero(t, stays.Sequence, "unchanged, though the slot no longer exists")
	moved, err := store.Reschedule(t.Context(), moveTo(last.ID, ten.Add(-time.Hour)))
	require.NoError(t, err)
	require.Equal(t, ten.Add(-time.Hour), moved.Start)
	requireInvariants(t, db)
}

// Nothing is sold by an unknown zone, and existing bookings stay readable.
func TestHold_UnknownZone(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	exec(t, db, `UPDATE booking_platform.resources SET time_zone = 'Europe/Atlantis'`)
	_, err := store.Slots(t.Context(), "court", slot(0), slot(1), 1)
	require.ErrorContains(t, err, "Europe/Atlantis")
	_, err = store.Hold(t.Context(), request(slot(1)))
	require.ErrorContains(t, err, "Europe/Atlantis")
	got, err := store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b.Start, got.Start)
}
