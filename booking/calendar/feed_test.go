package calendar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/stretchr/testify/require"
)

func TestFeed_Resource(t *testing.T) {
	t.Parallel()
	r := court
	r.Name = "Court, by the river"
	file, err := calendar.Feed(domain, r, nil, calendar.FeedOptions{})
	require.NoError(t, err)
	cal := read(t, file)
	require.Empty(t, cal.Children)
	require.ElementsMatch(t, []string{"PRODID", "VERSION", "CALSCALE", "NAME", "X-WR-CALNAME", "REFRESH-INTERVAL",
		"X-PUBLISHED-TTL"}, names(cal.Props))
	require.Equal(t, r.Name, text(t, cal.Props, "NAME"))
	require.Equal(t, r.Name, text(t, cal.Props, "X-WR-CALNAME"))
	require.Equal(t, "DURATION", cal.Props.Get("REFRESH-INTERVAL").Params.Get("VALUE"))
	for _, name := range []string{"REFRESH-INTERVAL", "X-PUBLISHED-TTL"} {
		refresh, err := cal.Props.Get(name).Duration()
		require.NoError(t, err)
		require.Equal(t, 15*time.Minute, refresh)
	}
	file, err = calendar.Feed(domain, r, nil, calendar.FeedOptions{Refresh: 2 * time.Hour})
	require.NoError(t, err)
	refresh, err := read(t, file).Props.Get("REFRESH-INTERVAL").Duration()
	require.NoError(t, err)
	require.Equal(t, 2*time.Hour, refresh)
}

func TestFeed_Events(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change                       func(*booking.Booking)
		summary, description, status string
	}{
		{func(*booking.Booking) {}, "Ada Lovelace", "Party: 1\nStatus: confirmed", "CONFIRMED"},
		{func(b *booking.Booking) { b.Party, b.Offer, b.Reference = 3, "long", "order 42" },
			"Ada Lovelace (3) – An hour and a half", "Party: 3\nStatus: confirmed\nReference: order 42", "CONFIRMED"},
		{func(b *booking.Booking) {
			b.Customer.LastName, b.Customer.Phone, b.Note = "", "+33 1", "At\r\nthe gate"
		},
			"Ada", "Party: 1\nStatus: confirmed\nPhone: +33 1\nNote: At\nthe gate", "CONFIRMED"},
		{func(b *booking.Booking) { b.Status = booking.StatusPending }, "Ada Lovelace", "Party: 1\nStatus: pending",
			"TENTATIVE"},
		{func(b *booking.Booking) { b.Status = booking.StatusCompleted }, "Ada Lovelace", "Party: 1\nStatus: completed",
			"CONFIRMED"},
		{func(b *booking.Booking) { b.Status = booking.StatusNoShow }, "Ada Lovelace", "Party: 1\nStatus: no show",
			"CONFIRMED"},
		{func(b *booking.Booking) { b.Status = booking.StatusCancelled }, "Ada Lovelace", "Party: 1\nStatus: cancelled",
			"CANCELLED"},
		{func(b *booking.Booking) { b.Customer = booking.Customer{} }, "Booking", "Party: 1\nStatus: confirmed",
			"CONFIRMED"},
		{func(b *booking.Booking) { b.Kind, b.Party, b.Customer = booking.KindBlock, 2, booking.Customer{} },
			"Blocked (2)",
			"Units: 2\nStatus: confirmed", "CONFIRMED"},
	} {
		b := sold(c.change)
		file, err := calendar.Feed(domain, court, []booking.Booking{b}, calendar.FeedOptions{})
		require.NoError(t, err)
		props := event(t, file).Props
		require.Equal(t, c.summary, text(t, props, "SUMMARY"))
		require.Equal(t, c.description, text(t, props, "DESCRIPTION"))
		require.Equal(t, c.status, text(t, props, "STATUS"))
		require.Equal(t, bookingID+"@example.com", text(t, props, "UID"), "the same event as in its file")
		require.NotContains(t, string(file), "ada@example.com")
	}
	file, err := calendar.Feed(domain, court,
		[]booking.Booking{sold(func(b *booking.Booking) { b.Status = booking.StatusExpired })}, calendar.FeedOptions{})
	require.NoError(t, err)
	require.Empty(t, read(t, file).Children)
}

// crowd returns n consecutive bookings.
func crowd(n int) (out []booking.Booking) {
	for i := range n {
		out = append(out, sold(func(b *booking.Booking) {
			b.ID = fmt.Sprintf("019a2b3c-0000-7000-8000-%012d", i)
			b.Start, b.End = b.Start.Add(time.Duration(i)*time.Hour), b.End.Add(time.Duration(i)*time.Hour)
			b.Reference = fmt.Sprint("order ", i)
		}))
	}
	return out
}

func TestFeed_ManyBookings(t *testing.T) {
	t.Parallel()
	many := crowd(2000)
	began := time.Now()
	file, err := calendar.Feed(domain, court, many, calendar.FeedOptions{})
	require.NoError(t, err)
	// It takes 15 ms; the limit is for quadratic work, not for a slow machine.
	require.Less(t, time.Since(began), 5*time.Second)
	require.Less(t, len(file), 2000*500, "bytes")
	events := read(t, file).Events()
	require.Len(t, events, len(many))
	for i, e := range events {
		require.Equal(t, many[i].ID+"@example.com", text(t, e.Props, "UID"))
		require.Equal(t, many[i].Start, instant(t, e.Props, "DTSTART"))
	}
}

func TestFeed_LongestTexts(t *testing.T) {
	t.Parallel()
	b := sold(func(b *booking.Booking) {
		name := strings.Repeat("👍", 200)
		b.Customer.FirstName, b.Customer.LastName, b.Reference, b.Offer = name, name, strings.Repeat("👍", 255), "long"
	})
	r := court
	r.Offers = []booking.Offer{{Slug: "long", Name: strings.Repeat("👍", 200)}}
	file, err := calendar.Feed(domain, r, []booking.Booking{b}, calendar.FeedOptions{})
	require.NoError(t, err)
	event(t, file)
	require.Less(t, len(file), 6000)
}

func BenchmarkFeed(b *testing.B) {
	many := crowd(2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := calendar.Feed(domain, court, many, calendar.FeedOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// A booking that is moved and cancelled stays one event, and SEQUENCE grows.
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
