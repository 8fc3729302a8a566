package pages

import (
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// offer fills in what the customer may do about the booking at an instant. What is offered may be over by the time it is asked for: who
// decides is booking.
func (v *bookingView) offer(f found, at time.Time) {
	terms := f.booking.Terms(at)
	v.Terms = f.words(terms)
	if terms.Allowed {
		v.Cancel = f.path("/booking/cancel")
	}
	if f.movable(terms, at) {
		v.Move = f.path("/booking/move")
	}
}

// movable tells whether the booking can be moved: as long as cancelling is free.
func (f found) movable(terms booking.Terms, at time.Time) bool {
	b := f.booking
	if b.Status == booking.Pending && !at.Before(b.HoldExpiresAt) {
		return false
	}
	return (b.Status == booking.Pending || b.Status == booking.Confirmed) && at.Before(terms.FreeUntil)
}

// words say what cancelling gives; "" for what has ended.
func (f found) words(t booking.Terms) string {
	b := f.booking
	switch {
	case b.Status == booking.Pending && f.payment != nil && f.payment.Status() == payments.Processing:
		return "Your money is on its way: when you cancel, all of it is given back as soon as it has arrived."
	case b.Status == booking.Pending:
		return "Nothing has been paid yet: you may cancel free of charge."
	case b.Status != booking.Confirmed:
		return ""
	case t.Until.IsZero():
		return "This booking can be neither cancelled nor moved."
	case !t.Allowed:
		return "This booking could be cancelled until " + moment(t.Until, f.zone) + "."
	}
	text := ""
	switch later := b.Terms(t.FreeUntil); {
	case b.Amount.Minor == 0:
		text = "You may cancel until " + moment(t.Until, f.zone) + "."
	case t.Refund == b.Amount && later.Allowed:
		text = "You may cancel free of charge until " + moment(t.FreeUntil, f.zone) + ". After that, and until " + moment(t.Until, f.zone) + ", " +
			amount(later.Fee) + " of " + amount(b.Amount) + " is kept."
	case t.Refund == b.Amount:
		text = "You may cancel free of charge until " + moment(t.FreeUntil, f.zone) + ", and not after that."
	default:
		text = "You may cancel until " + moment(t.Until, f.zone) + ". " + kept(b.Amount, t.Refund)
	}
	return text
}

// kept says how an amount is divided by a cancellation.
func kept(all, refund booking.Money) string {
	switch {
	case all.Minor == 0:
		return "Nothing was charged."
	case refund.Minor == 0:
		return "The whole price, " + amount(all) + ", is kept."
	case refund == all:
		return "The whole price, " + amount(all) + ", is given back."
	}
	fee := booking.Money{Minor: all.Minor - refund.Minor, Currency: all.Currency}
	return amount(fee) + " of " + amount(all) + " is kept, and " + amount(refund) + " is given back."
}

// moment writes an instant for people, in a zone whose name the page shows already.
func moment(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Monday, 2 January 2006, 15:04 MST")
}
