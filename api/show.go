package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// cancellationView is what cancelling gives the customer at this moment. FreeUntil and
// Until are null where it is never allowed, or over. Refund is nothing while a dispute is
// open; see paymentView.RefundsWait.
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
	// AmountLost is what lost disputes took: the customer has it from the bank.
	AmountLost int64 `json:"amountLost"`
	// RefundsWait says in one word why nothing is refunded for now; it is left out where
	// nothing keeps refunds.
	RefundsWait     string `json:"refundsWait,omitempty"`
	Currency        string `json:"currency"`
	StripeSessionID string `json:"stripeSessionId"`
}

// show answers one booking with its payment, to its owner or to staff.
func (a *API) show(w http.ResponseWriter, r *http.Request, of asked) {
	a.answer(w, r, of.booking)
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, b booking.Booking) {
	v, err := a.whole(r.Context(), b)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// whole is a booking with what lists leave out: its payment, and what cancelling it now
// would give.
func (a *API) whole(ctx context.Context, b booking.Booking) (bookingView, error) {
	known := zones{}
	v, err := a.view(ctx, known, b)
	if err != nil {
		return bookingView{}, err
	}
	p, err := a.opts.Payments.ForBooking(ctx, b.ID)
	if err != nil && !errors.Is(err, payments.ErrNotFound) {
		return v, err
	}
	v.Cancellation = cancellation(b, p, known[b.ResourceID], time.Now())
	if b.Refund != nil {
		back := goesBack(p, *b.Refund)
		v.Refund = &back
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
	if !mayKnowSessions(ctx) {
		v.Payment.StripeSessionID = ""
	}
	return v, nil
}

// counts tells whether money pays for a booking or is on its way: nothing else is divided
// by a cancellation.
func counts(p payments.Payment) bool { return p.Applied() || p.Status() == payments.Processing }

// goesBack is what a cancellation gives back of the money that pays for the booking.
func goesBack(p payments.Payment, refund booking.Money) int64 {
	if !counts(p) {
		return 0
	}
	return p.GoesBack(refund).Minor
}

// cancellation writes the terms; the times are null where there are none. p is the
// booking's payment, or the zero one.
func cancellation(b booking.Booking, p payments.Payment, zone *time.Location, at time.Time) *cancellationView {
	t := b.Terms(at)
	if p.Status() == payments.Processing {
		t = b.TermsPaid(at)
	}
	v := &cancellationView{Allowed: t.Allowed, Fee: t.Fee.Minor, Refund: goesBack(p, t.Refund)}
	if !counts(p) {
		v.Fee = 0
	}
	if !t.Until.IsZero() {
		free, until := local(t.FreeUntil, zone), local(t.Until, zone)
		v.FreeUntil, v.Until = &free, &until
	}
	return v
}
