package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// keyPrefix keeps the keys that clients choose apart from those of an embedder, who
// shares the table.
const keyPrefix = "api:"

// readWish reads the body of a booking. What is wrong with it is in the body's problems;
// a field that could not be read is left at a value that booking refuses.
func (a *API) readWish(w http.ResponseWriter, r *http.Request) (booking.HoldRequest, *body, error) {
	b, err := readBody(w, r)
	if err != nil {
		return booking.HoldRequest{}, nil, err
	}
	wish := booking.HoldRequest{
		Resource: b.text("resource"),
		Offer:    b.text("offer"),
		Party:    b.count("party"),
		Customer: booking.Customer{FirstName: b.text("firstName"), LastName: b.text("lastName"),
			Email: b.text("email")},
		Client: a.opts.Client(r.Context()),
	}
	if keys, sent := r.Header["Idempotency-Key"]; sent && (len(keys) != 1 || !printable(keys[0])) {
		b.problems["Idempotency-Key"] = "must be 1 to 200 printable ASCII characters"
	} else if sent {
		wish.IdempotencyKey = keyPrefix + keys[0]
	}
	if err := a.readStart(r.Context(), b, &wish); err != nil {
		return booking.HoldRequest{}, nil, err
	}
	b.end()
	return wish, b, nil
}

// printable tells whether s is 1 to 200 printable ASCII characters.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

// readStart reads start, or date and time in the resource's zone in its place, and finds
// the resource where it was left out.
func (a *API) readStart(ctx context.Context, b *body, wish *booking.HoldRequest) error {
	start, date, clock := b.text("start"), b.text("date"), b.text("time")
	if wish.Resource == "" && b.problems["resource"] == "" {
		only, err := a.onlyResource(ctx)
		if err != nil {
			return err
		}
		wish.Resource = only
	}
	switch {
	case b.problems["start"] != "" || b.problems["date"] != "" || b.problems["time"] != "":
		return nil
	case start != "" && (date != "" || clock != ""):
		b.problems["start"] = "cannot stand beside date and time"
		return nil
	case start != "":
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			b.problems["start"] = "must be a time such as 2026-12-01T10:00:00+01:00"
		}
		wish.Start = at
		return nil
	case date == "" && clock == "":
		return nil
	}
	return a.readLocalStart(ctx, b, wish, date, clock)
}

// readLocalStart reads the old form.
func (a *API) readLocalStart(ctx context.Context, b *body, wish *booking.HoldRequest, date, clock string) error {
	day, err := booking.ParseDate(date)
	if err != nil {
		b.problems["date"] = "must be a date such as 2026-12-01"
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		b.problems["time"] = "must be a time of day such as 10:00"
	}
	if b.problems["date"] != "" || b.problems["time"] != "" || wish.Resource == "" {
		return nil
	}
	resource, err := a.opts.Bookings.Resource(ctx, wish.Resource)
	if errors.Is(err, booking.ErrNotFound) {
		return nil // Hold says so too, together with what else is wrong.
	}
	if err != nil {
		return err
	}
	zone, err := resource.Zone()
	if err != nil {
		return err
	}
	start, exists := day.At(at.Hour()*60+at.Minute(), zone)
	if !exists {
		b.problems["time"] = "does not exist on that day: the clocks are put forward"
		return nil
	}
	wish.Start = start
	return nil
}

// onlyResource is the resource that a booking is for when it does not say; empty unless
// there is exactly one.
func (a *API) onlyResource(ctx context.Context) (string, error) {
	all, err := a.opts.Bookings.Resources(ctx)
	if err != nil || len(all) != 1 {
		return "", err
	}
	return all[0].ID, nil
}
