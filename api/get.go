package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// bookingView is one booking. Resource is the id; Amount is for the whole party.
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
	// Refund is what the cancellation gives back; null for a booking that was not
	// cancelled and for a cancelled hold.
	Refund *int64 `json:"refund"`
	// Payment is absent if nothing was to pay. Lists have neither of these.
	Payment      *paymentView      `json:"payment,omitempty"`
	Cancellation *cancellationView `json:"cancellation,omitempty"`
}

// cancellationView is what cancelling gives at this moment. FreeUntil and Until are null
// if cancelling is never allowed, or no longer. Refund is 0 while a dispute is open; see
// paymentView.RefundsWait.
type cancellationView struct {
	Allowed   bool    `json:"allowed"`
	FreeUntil *string `json:"freeUntil"`
	Until     *string `json:"until"`
	Fee       int64   `json:"fee"`
	Refund    int64   `json:"refund"`
}

type paymentView struct {
	Status         payments.Status `json:"status"`
	Amount         int64           `json:"amount"`
	AmountPaid     int64           `json:"amountPaid"`
	AmountRefunded int64           `json:"amountRefunded"`
	// AmountLost is what lost disputes took; the customer has it from the bank.
	AmountLost int64 `json:"amountLost"`
	// RefundsWait is why no refund is made at present, such as "disputed".
	RefundsWait     string `json:"refundsWait,omitempty"`
	Currency        string `json:"currency"`
	StripeSessionID string `json:"stripeSessionId"`
}

// zones caches the time zones of resources for one answer.
type zones map[string]*time.Location

func (a *API) zone(ctx context.Context, cached zones, resource string) (*time.Location, error) {
	if z, ok := cached[resource]; ok {
		return z, nil
	}
	res, err := a.deps.Bookings.Resource(ctx, resource)
	if err != nil {
		return nil, err
	}
	z, err := res.Zone()
	cached[resource] = z
	return z, err
}

func (a *API) view(ctx context.Context, cached zones, b booking.Booking) (bookingView, error) {
	zone, err := a.zone(ctx, cached, b.ResourceID)
	if err != nil {
		return bookingView{}, err
	}
	v := bookingView{
		ID: b.ID, Resource: b.ResourceID, Start: local(b.Start, zone), End: local(b.End, zone), Party: b.Party,
		Status: b.Status, Amount: b.Amount.Minor, Currency: b.Amount.Currency,
		FirstName: b.Customer.FirstName, LastName: b.Customer.LastName, Email: b.Customer.Email,
		ExpiresAt: b.HoldExpiresAt, CreatedAt: b.CreatedAt,
	}
	if b.Refund != nil {
		v.Refund = &b.Refund.Minor
	}
	return v, nil
}

// get returns one booking with its payment, to its owner or to staff.
func (a *API) get(w http.ResponseWriter, r *http.Request, of access) {
	a.writeBooking(w, r, of.booking)
}

func (a *API) writeBooking(w http.ResponseWriter, r *http.Request, b booking.Booking) {
	v, err := a.detail(r.Context(), b)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// detail is a booking with its payment and the terms of its cancellation.
func (a *API) detail(ctx context.Context, b booking.Booking) (bookingView, error) {
	cached := zones{}
	v, err := a.view(ctx, cached, b)
	if err != nil {
		return bookingView{}, err
	}
	p, err := a.deps.Payments.ForBooking(ctx, b.ID)
	if err != nil && !errors.Is(err, payments.ErrNotFound) {
		return v, err
	}
	v.Cancellation = cancellation(b, p, cached[b.ResourceID], time.Now())
	if b.Refund != nil {
		refund := refundable(p, *b.Refund)
		v.Refund = &refund
	}
	if err != nil {
		return v, nil
	}
	v.Payment = &paymentView{
		Status: p.Status(), Amount: p.Amount.Minor, AmountPaid: p.Captured.Minor, AmountRefunded: p.Refunded.Minor,
		AmountLost: p.Lost.Minor, Currency: p.Amount.Currency, StripeSessionID: p.SessionID,
	}
	if p.OpenDisputes > 0 {
		v.Payment.RefundsWait = "disputed"
	}
	if !a.maySeeSessions(ctx) {
		v.Payment.StripeSessionID = ""
	}
	return v, nil
}

// paying reports whether money pays for the booking or is on its way. Only then does a
// cancellation divide it.
func paying(p payments.Payment) bool { return p.Applied() || p.Status() == payments.StatusProcessing }

// refundable is what a cancellation gives back of refund.
func refundable(p payments.Payment, refund booking.Money) int64 {
	if !paying(p) {
		return 0
	}
	return p.GoesBack(refund).Minor
}

// cancellation returns the terms at a time. p is the booking's payment, or the zero one.
func cancellation(b booking.Booking, p payments.Payment, zone *time.Location, at time.Time) *cancellationView {
	t := b.Terms(at)
	if p.Status() == payments.StatusProcessing {
		t = b.TermsPaid(at)
	}
	v := &cancellationView{Allowed: t.Allowed, Fee: t.Fee.Minor, Refund: refundable(p, t.Refund)}
	if !paying(p) {
		v.Fee = 0
	}
	if !t.Until.IsZero() {
		free, until := local(t.FreeUntil, zone), local(t.Until, zone)
		v.FreeUntil, v.Until = &free, &until
	}
	return v
}

// local formats an instant with the offset of a zone.
func local(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }
