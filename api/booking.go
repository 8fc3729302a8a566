package api

import (
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// Booking is a booking in the API's answers. Times of the slot are RFC 3339 with the
// offset of the resource's zone, ExpiresAt and CreatedAt are UTC. Amounts are for the
// whole party, in minor units of Currency, which is in lower case. It has no idempotency
// key and no owner token. Make one with [BookingOf] or [BookingDetail].
type Booking struct {
	ID string `json:"id"`
	// Number is booking.Booking.Number.
	Number string `json:"number"`
	// Resource is an id.
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
	// Phone and Note are "" if there are none.
	Phone     string    `json:"phone"`
	Note      string    `json:"note"`
	ExpiresAt time.Time `json:"expiresAt"`
	CreatedAt time.Time `json:"createdAt"`
	// Refund is what the cancellation refunds; nil if not cancelled, and for a cancelled
	// hold.
	Refund *int64 `json:"refund"`
	// Payment is nil if nothing was to pay. It and Cancellation are nil in lists.
	Payment      *Payment      `json:"payment,omitempty"`
	Cancellation *Cancellation `json:"cancellation,omitempty"`
}

// Cancellation is what a cancellation by the customer would give now.
type Cancellation struct {
	Allowed bool `json:"allowed"`
	// FreeUntil and Until are nil if cancelling is never allowed, or no longer.
	FreeUntil *string `json:"freeUntil"`
	Until     *string `json:"until"`
	Fee       int64   `json:"fee"`
	// Refund is 0 while a dispute is open; see Payment.RefundsWait.
	Refund int64 `json:"refund"`
}

// Payment is the payment of a booking. Amounts are in minor units of Currency.
type Payment struct {
	Status         payments.Status `json:"status"`
	Amount         int64           `json:"amount"`
	AmountPaid     int64           `json:"amountPaid"`
	AmountRefunded int64           `json:"amountRefunded"`
	// AmountLost is what disputes gave back to the customer.
	AmountLost int64 `json:"amountLost"`
	// RefundsWait is why no refund is made at present, such as "disputed".
	RefundsWait string `json:"refundsWait,omitempty"`
	Currency    string `json:"currency"`
	// StripeSessionID opens the booking's page: show it only to the customer and to staff
	// who may change the booking.
	StripeSessionID string `json:"stripeSessionId"`
}

// BookingOf converts a booking of a resource in zone, without Payment and Cancellation.
func BookingOf(b booking.Booking, zone *time.Location) Booking {
	v := Booking{
		ID: b.ID, Number: b.Number, Resource: b.ResourceID, Start: local(b.Start, zone), End: local(b.End, zone),
		Party: b.Party, Status: b.Status, Amount: b.Amount.Minor, Currency: b.Amount.Currency,
		FirstName: b.Customer.FirstName, LastName: b.Customer.LastName, Email: b.Customer.Email,
		Phone: b.Customer.Phone, Note: b.Note, ExpiresAt: b.HoldExpiresAt, CreatedAt: b.CreatedAt,
	}
	if b.Refund != nil {
		v.Refund = &b.Refund.Minor
	}
	return v
}

// BookingDetail converts a booking with its payment, zero if there is none, and what a
// cancellation by the customer would give at a time. Its Refund counts only what is
// refunded in fact: see docs/api.md.
func BookingDetail(b booking.Booking, p payments.Payment, zone *time.Location, at time.Time) Booking {
	v := BookingOf(b, zone)
	v.Cancellation = cancellation(b, p, zone, at)
	if b.Refund != nil {
		refund := refundable(p, *b.Refund)
		v.Refund = &refund
	}
	if p.ID == "" {
		return v
	}
	v.Payment = &Payment{
		Status: p.Status(), Amount: p.Amount.Minor, AmountPaid: p.Captured.Minor, AmountRefunded: p.Refunded.Minor,
		AmountLost: p.Lost.Minor, Currency: p.Amount.Currency, StripeSessionID: p.SessionID,
	}
	if p.OpenDisputes > 0 {
		v.Payment.RefundsWait = "disputed"
	}
	return v
}

// paying: money pays for the booking or is on its way. Only then does a cancellation
// divide it.
func paying(p payments.Payment) bool { return p.Applied() || p.Status() == payments.StatusProcessing }

// refundable is what a cancellation gives back of refund.
func refundable(p payments.Payment, refund booking.Money) int64 {
	if !paying(p) {
		return 0
	}
	return p.GoesBack(refund).Minor
}

// p may be the zero Payment.
func cancellation(b booking.Booking, p payments.Payment, zone *time.Location, at time.Time) *Cancellation {
	t := b.Terms(at)
	if p.Status() == payments.StatusProcessing {
		t = b.TermsPaid(at)
	}
	v := &Cancellation{Allowed: t.Allowed, Fee: t.Fee.Minor, Refund: refundable(p, t.Refund)}
	if !paying(p) {
		v.Fee = 0
	}
	if !t.Until.IsZero() {
		free, until := local(t.FreeUntil, zone), local(t.Until, zone)
		v.FreeUntil, v.Until = &free, &until
	}
	return v
}

func local(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }
