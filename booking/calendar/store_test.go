package calendar_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A booking that is moved and cancelled stays one event in file and feed, and SEQUENCE
// grows.
func TestFileAndFeed_RescheduledThenCancelled(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	r, err := store.CreateResource(t.Context(), booking.Resource{
		Slug: "court", Name: "Court", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
	})
	require.NoError(t, err)
	token, err := store.CreateFeed(t.Context(), r.ID)
	require.NoError(t, err)
	start := time.Now().UTC().Truncate(time.Hour).Add(24 * time.Hour)
	b, err := store.Hold(t.Context(), booking.HoldRequest{
		Resource: r.ID, Start: start, Customer: booking.Customer{FirstName: "Zoë", LastName: "D'Arcy; Söhne, \\ & Co",
			Email: "zoe@example.com"},
	})
	require.NoError(t, err)

	// shown checks that file and feed have the same event, and returns its SEQUENCE.
	shown := func(status string, start time.Time) int {
		t.Helper()
		b, err := store.Get(t.Context(), b.ID)
		require.NoError(t, err)
		feed, err := store.Feed(t.Context(), token)
		require.NoError(t, err)
		require.Len(t, feed.Bookings, 1)
		file, err := calendar.Feed(domain, feed.Resource, feed.Bookings, calendar.FeedOptions{})
		require.NoError(t, err)
		props := event(t, file).Props
		require.Equal(t, b.ID+"@"+domain, text(t, props, "UID"))
		require.Equal(t, "Zoë D'Arcy; Söhne, \\ & Co", text(t, props, "SUMMARY"))
		require.Equal(t, status, text(t, props, "STATUS"))
		require.Equal(t, start, instant(t, props, "DTSTART"))
		require.Equal(t, start.Add(time.Hour), instant(t, props, "DTEND"))
		require.Equal(t, b.UpdatedAt.Truncate(time.Second), instant(t, props, "DTSTAMP"))
		sequence, err := props.Get("SEQUENCE").Int()
		require.NoError(t, err)
		if status == "TENTATIVE" {
			return sequence
		}
		file, err = calendar.File(domain, r, b, calendar.FileOptions{})
		require.NoError(t, err)
		own := event(t, file).Props
		for _, name := range []string{"UID", "SEQUENCE", "STATUS", "DTSTART", "DTEND", "DTSTAMP", "LAST-MODIFIED",
			"CREATED"} {
			require.Equal(t, props.Get(name), own.Get(name), name)
		}
		return sequence
	}
	require.Equal(t, 0, shown("TENTATIVE", start))
	_, err = store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, 0, shown("CONFIRMED", start))
	later := start.Add(3 * time.Hour)
	for range 2 { // The second move changes nothing.
		_, err = store.Reschedule(t.Context(), booking.RescheduleRequest{ID: b.ID, Start: later})
		require.NoError(t, err)
		require.Equal(t, 1, shown("CONFIRMED", later))
	}
	_, err = store.Reschedule(t.Context(), booking.RescheduleRequest{ID: b.ID, Start: start.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, 2, shown("CONFIRMED", start.Add(time.Hour)))
	_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "rain"})
	require.NoError(t, err)
	require.Equal(t, 3, shown("CANCELLED", start.Add(time.Hour)))
}
