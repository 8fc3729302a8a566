package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// bookingView is one booking. Resource is the id; amounts are in minor units of the currency, for the whole party.
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
	// Payment is null for what cost nothing, and absent from lists.
	Payment *paymentView `json:"payment,omitempty"`
}

type paymentView struct {
	Status          payments.Status `json:"status"`
	Amount          int64           `json:"amount"`
	AmountPaid      int64           `json:"amountPaid"`
	AmountRefunded  int64           `json:"amountRefunded"`
	Currency        string          `json:"currency"`
	StripeSessionID string          `json:"stripeSessionId"`
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
	z, err := time.LoadLocation(res.TimeZone)
	known[resource] = z
	return z, err
}

func (a *API) view(ctx context.Context, known zones, b booking.Booking) (bookingView, error) {
	zone, err := a.zone(ctx, known, b.ResourceID)
	if err != nil {
		return bookingView{}, err
	}
	return bookingView{
		ID: b.ID, Resource: b.ResourceID, Start: local(b.Start, zone), End: local(b.End, zone), Party: b.Party, Status: b.Status,
		Amount: b.Amount.Minor, Currency: b.Amount.Currency,
		FirstName: b.Customer.FirstName, LastName: b.Customer.LastName, Email: b.Customer.Email,
		ExpiresAt: b.HoldExpiresAt, CreatedAt: b.CreatedAt,
	}, nil
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

// show answers one booking with its payment, to its owner or to staff.
func (a *API) show(w http.ResponseWriter, r *http.Request) {
	b, err := a.opts.Bookings.Get(r.Context(), mux.Vars(r)["id"])
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, b)
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, b booking.Booking) {
	v, err := a.view(r.Context(), zones{}, b)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	p, err := a.opts.Payments.ForBooking(r.Context(), b.ID)
	switch {
	case errors.Is(err, payments.ErrNotFound):
	case err != nil:
		a.fail(w, r, err)
		return
	default:
		v.Payment = &paymentView{
			Status: p.Status(), Amount: p.Amount.Minor, AmountPaid: p.Captured.Minor, AmountRefunded: p.Refunded.Minor,
			Currency: p.Amount.Currency, StripeSessionID: p.SessionID,
		}
	}
	writeJSON(w, http.StatusOK, v)
}

// cancel ends a booking for which no money has come, by its owner or by ADMIN or OPS. One that was paid for is refused: there is no refund
// yet. Money that comes in the same moment is parked for an operator by its event.
func (a *API) cancel(w http.ResponseWriter, r *http.Request) {
	id := mux.Vars(r)["id"]
	p, err := a.opts.Payments.ForBooking(r.Context(), id)
	if err != nil && !errors.Is(err, payments.ErrNotFound) {
		a.fail(w, r, err)
		return
	}
	if err == nil && !unpaid(p.Status()) {
		a.fail(w, r, errPaid)
		return
	}
	b, err := a.opts.Bookings.Cancel(r.Context(), booking.CancelRequest{ID: id, Reason: "cancelled by request"})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.answer(w, r, b)
}

// unpaid tells whether no money has come, nor is on its way.
func unpaid(s payments.Status) bool {
	return s == payments.Open || s == payments.Expired || s == payments.Failed
}
