package pages

import (
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/payments"
)

// when is the time of the booking, with the name of the zone.
func (f details) when() string { return f.Span(f.booking.Start, f.booking.End, f.zone) }

// statusText is the status of a booking for its customer.
func statusText(l locale.Locale, s booking.Status) string {
	switch s {
	case booking.StatusPending:
		return l.T("waiting for payment")
	case booking.StatusConfirmed:
		return l.T("confirmed")
	case booking.StatusCancelled:
		return l.T("cancelled")
	case booking.StatusCompleted:
		return l.T("completed")
	case booking.StatusNoShow:
		return l.T("no-show")
	case booking.StatusExpired:
		return l.T("expired")
	}
	return string(s)
}

// paymentText is the status of a payment for the customer.
func paymentText(l locale.Locale, s payments.Status) string {
	switch s {
	case payments.StatusOpen:
		return l.T("not paid yet")
	case payments.StatusFailed, payments.StatusExpired:
		return l.T("not paid")
	case payments.StatusParked:
		return l.T("being checked")
	case payments.StatusProcessing:
		return l.T("processing")
	case payments.StatusPaid:
		return l.T("paid")
	case payments.StatusPartiallyRefunded:
		return l.T("partially refunded")
	case payments.StatusRefunded:
		return l.T("refunded")
	case payments.StatusDisputed:
		return l.T("disputed")
	case payments.StatusDisputeLost:
		return l.T("dispute lost")
	}
	return string(s)
}

// number is what the customer reads out: the booking's number, or its id if it has none.
func number(b booking.Booking) string {
	if b.Number == "" {
		return b.ID
	}
	return b.Number
}
