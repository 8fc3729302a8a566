package calendar_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/booking/calendar"
)

// A confirmed booking for its customer's own calendar.
func ExampleFile() {
	start := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	court := booking.Resource{ID: "019a2b3c-0000-7000-8000-00000000000a", Name: "Court 1, first floor"}
	b := booking.Booking{
		ID: "019a2b3c-0000-7000-8000-000000000001", ResourceID: court.ID, Kind: booking.KindBooking,
		Status: booking.StatusConfirmed,
		Start:  start, End: start.Add(time.Hour), CreatedAt: start.AddDate(0, 0, -3),
		UpdatedAt: start.AddDate(0, 0, -2),
		Sequence:  1,
	}
	file, err := calendar.File("booking.example.com", court, b,
		calendar.FileOptions{Link: "https://booking.example.com/b/1"})
	var none *calendar.NoFileError
	switch {
	case errors.As(err, &none):
		fmt.Println("not confirmed:", none.Status)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Print(strings.ReplaceAll(string(file), "\r\n", "\n"))
	// Output:
	// BEGIN:VCALENDAR
	// VERSION:2.0
	// PRODID:-//booking-platform//booking-platform//EN
	// CALSCALE:GREGORIAN
	// METHOD:PUBLISH
	// BEGIN:VEVENT
	// UID:019a2b3c-0000-7000-8000-000000000001@booking.example.com
	// DTSTAMP:20261129T090000Z
	// CREATED:20261128T090000Z
	// LAST-MODIFIED:20261129T090000Z
	// SEQUENCE:1
	// STATUS:CONFIRMED
	// DTSTART:20261201T090000Z
	// DTEND:20261201T100000Z
	// SUMMARY:Court 1\, first floor
	// URL:https://booking.example.com/b/1
	// END:VEVENT
	// END:VCALENDAR
}

// The private calendar of a resource, at an address whose last part is its token.
func ExampleFeed() {
	var store *booking.Store
	http.HandleFunc("GET /calendar/{token}", func(w http.ResponseWriter, r *http.Request) {
		file, err := privateCalendar(r.Context(), store, strings.TrimSuffix(r.PathValue("token"), ".ics"))
		switch {
		case errors.Is(err, booking.ErrNotFound):
			http.NotFound(w, r)
		case err != nil:
			http.Error(w, "retry", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", calendar.ContentType)
			_, _ = w.Write(file)
		}
	})
}

func privateCalendar(ctx context.Context, store *booking.Store, token string) ([]byte, error) {
	feed, err := store.Feed(ctx, token)
	if err != nil {
		return nil, err
	}
	return calendar.Feed("booking.example.com", feed.Resource, feed.Bookings, calendar.FeedOptions{Refresh: time.Hour})
}
