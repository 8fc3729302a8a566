package api

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// bookingView is one booking. Resource is the id; amounts are in minor units of the
// currency, for the whole party.
type bookingView struct {
	ID        string         `json:"id"`
	Resource  string         `json:"resource"`
	Start     string         `json:"start"`
	End       string         `json:"end"`
	Party     int            `json:"party"`
	Status    booking.Status `json:"status"`
	Amount    int64          `json:"amount"`
	Currency  string         `json:"currency"`
	FirstName string         `json:"firstName"`
	LastName  string         `json:"lastName"`
	Email     string         `json:"email"`
	ExpiresAt time.Time      `json:"expiresAt"`
	CreatedAt time.Time      `json:"createdAt"`
	// Refund is what its cancellation gives back of the amount; null where nobody has
	// decided, and for a hold that was cancelled.
	Refund *int64 `json:"refund"`
	// Payment is absent for what cost nothing, and Payment and Cancellation are absent
	// from lists.
	Payment      *paymentView      `json:"payment,omitempty"`
	Cancellation *cancellationView `json:"cancellation,omitempty"`
}

// zones remembers, for one answer, the zones of the resources in it.
type zones map[string]*time.Location

func (a *API) zone(ctx context.Context, known zones, resource string) (*time.Location, error) {
	if z, ok := known[resource]; ok {
		return z, nil
	}
	res, err := a.opts.Bookings.Resource(ctx, resource)
	if err != nil {
		return nil, err
	}
	z, err := res.Zone()
	known[resource] = z
	return z, err
}

func (a *API) view(ctx context.Context, known zones, b booking.Booking) (bookingView, error) {
	zone, err := a.zone(ctx, known, b.ResourceID)
	if err != nil {
		return bookingView{}, err
	}
	v := bookingView{
		ID: b.ID, Resource: b.ResourceID, Start: local(b.Start, zone), End: local(b.End, zone), Party: b.Party,
		Status: b.Status,
		Amount: b.Amount.Minor, Currency: b.Amount.Currency,
		FirstName: b.Customer.FirstName, LastName: b.Customer.LastName, Email: b.Customer.Email,
		ExpiresAt: b.HoldExpiresAt, CreatedAt: b.CreatedAt,
	}
	if b.Refund != nil {
		v.Refund = &b.Refund.Minor
	}
	return v, nil
}

// readLimit reads how many items a page has: 50 unless said otherwise, 500 at most.
func readLimit(query url.Values) (int, error) {
	if !query.Has("limit") {
		return 50, nil
	}
	n, err := strconv.Atoi(query.Get("limit"))
	if err != nil || n < 1 || n > 500 {
		return 0, &booking.ValidationError{Fields: map[string]string{"limit": "must be between 1 and 500"}}
	}
	return n, nil
}
