package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/payments"
)

// Booked is the answer to a new booking.
type Booked struct {
	ID string `json:"id"`
	// Number is booking.Booking.Number.
	Number string `json:"number"`
	// URL is Stripe's page, or the booking's own if nothing is to pay.
	URL             string         `json:"url"`
	StripeSessionID string         `json:"stripeSessionId"`
	Status          booking.Status `json:"status"`
	ExpiresAt       time.Time      `json:"expiresAt"`
	// Token is the owner token, for the customer only.
	Token string `json:"token"`
}

// BookedOf converts the result of payments.Book.
func BookedOf(b payments.Booked) Booked {
	return Booked{
		ID: b.Booking.ID, Number: b.Booking.Number, URL: b.URL, StripeSessionID: b.SessionID, Status: b.Booking.Status,
		ExpiresAt: b.Booking.HoldExpiresAt, Token: b.Booking.OwnerToken,
	}
}

// The price is the resource's.
func (a *API) create(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req, b, err := a.readHoldRequest(w, r)
		if err == nil && len(b.problems) > 0 {
			err = b.withProblems(a.deps.Bookings.Check(r.Context(), req))
		}
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		booked, err := a.deps.Payments.Book(booking.WithActor(r.Context(), customer), req)
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		writeJSON(w, status, BookedOf(booked))
	}
}

// keyPrefix separates API clients' idempotency keys from the embedder's.
const keyPrefix = "api:"

// readHoldRequest gives a field that cannot be read a value that booking refuses.
func (a *API) readHoldRequest(w http.ResponseWriter, r *http.Request) (booking.HoldRequest, *body, error) {
	b, err := readBody(w, r)
	if err != nil {
		return booking.HoldRequest{}, nil, err
	}
	req := booking.HoldRequest{
		Resource: b.text("resource"),
		Offer:    b.text("offer"),
		Party:    b.count("party"),
		Customer: booking.Customer{FirstName: b.text("firstName"), LastName: b.text("lastName"),
			Email: b.text("email"), Phone: b.text("phone")},
		Note:     b.text("note"),
		Language: locale.Match(r.Header.Get("Accept-Language")),
		Client:   a.opts.Client(r.Context()),
	}
	if req.Customer.LastName == "" && b.problems["lastName"] == "" {
		b.problems["lastName"] = "is required" // Of this API, not of booking.
	}
	if keys, sent := r.Header["Idempotency-Key"]; sent && (len(keys) != 1 || !printable(keys[0])) {
		b.problems["Idempotency-Key"] = "must be 1 to 200 printable ASCII characters"
	} else if sent {
		req.IdempotencyKey = keyPrefix + keys[0]
	}
	if err := a.readStart(r.Context(), b, &req); err != nil {
		return booking.HoldRequest{}, nil, err
	}
	b.end()
	return req, b, nil
}

// readStart reads start, or date and time in the resource's zone. It sets the resource if
// the body names none and there is only one.
func (a *API) readStart(ctx context.Context, b *body, req *booking.HoldRequest) error {
	start, date, clock := b.text("start"), b.text("date"), b.text("time")
	if req.Resource == "" && b.problems["resource"] == "" {
		some, err := a.deps.Bookings.ListResources(ctx, booking.ResourceListOptions{Limit: 1})
		if err != nil {
			return err
		}
		if some.Total == 1 {
			req.Resource = some.Resources[0].ID
		}
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
		req.Start = at
		return nil
	case date == "" && clock == "":
		return nil
	}
	return a.readLocalStart(ctx, b, req, date, clock)
}

func (a *API) readLocalStart(ctx context.Context, b *body, req *booking.HoldRequest, date, clock string) error {
	day, err := booking.ParseDate(date)
	if err != nil {
		b.problems["date"] = "must be a date such as 2026-12-01"
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		b.problems["time"] = "must be a time of day such as 10:00"
	}
	if b.problems["date"] != "" || b.problems["time"] != "" || req.Resource == "" {
		return nil
	}
	resource, err := a.deps.Bookings.Resource(ctx, req.Resource)
	if errors.Is(err, booking.ErrNotFound) {
		return nil // Hold reports it together with the other problems.
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
	req.Start = start
	return nil
}
