package pages

import (
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
)

// setActions sets what the customer may do at a time. Package booking checks it again
// when they do it.
func (p *Pages) setActions(v *bookingView, f details, at time.Time) {
	terms := f.cancellation(at)
	v.Terms = f.describeTerms(terms)
	if terms.Allowed {
		v.Cancel = p.path("/booking/cancel", f.booking)
	}
	if f.movable(terms, at) {
		v.Move = p.path("/booking/move", f.booking)
	}
}

// cancellation returns the terms: those of the policy once the customer has begun to pay.
func (f details) cancellation(at time.Time) booking.Terms {
	if f.paying() {
		return f.booking.TermsPaid(at)
	}
	return f.booking.Terms(at)
}

// paying reports whether a payment is processing.
func (f details) paying() bool { return moneyOf(f.payment) == moneyComing }

// movable reports whether the customer can move the booking: as long as cancelling is
// free.
func (f details) movable(terms booking.Terms, at time.Time) bool {
	b := f.booking
	if b.Status == booking.StatusPending && !at.Before(b.HoldExpiresAt) {
		return false
	}
	return (b.Status == booking.StatusPending || b.Status == booking.StatusConfirmed) && at.Before(terms.FreeUntil)
}

// describeTerms returns "" for a booking that has ended.
func (f details) describeTerms(t booking.Terms) string {
	b := f.booking
	until := func() string { return f.T("You may cancel %s.", f.Until(t.Until, f.zone)) + " " }
	switch {
	case b.Status == booking.StatusPending && f.paying() && t.Allowed && t.Refund == b.Amount:
		return f.T("Your money is on its way: when you cancel, all of it is refunded as soon as it has arrived.")
	case b.Status == booking.StatusPending && f.paying() && t.Allowed:
		return f.T("Your money is on its way. When you cancel and it has arrived:") + " " + f.kept(t.Refund)
	case b.Status == booking.StatusPending && !f.paying():
		return f.unpaid()
	case b.Status == booking.StatusPending:
	case b.Status != booking.StatusConfirmed:
		return ""
	case t.Allowed && b.Amount.Minor > 0:
		if text := f.notApplied(); text != "" {
			return until() + text
		}
	}
	if t.Allowed && b.Amount.Minor > 0 && t.Refund != b.Amount {
		return until() + f.kept(t.Refund)
	}
	text := f.PaidTerms(b, t, f.zone)
	if t.Allowed {
		text += f.contested(t.Refund)
	}
	return text
}

// CancellationTerms returns the sentence that the pages show, once a hold or a confirmed
// booking is paid, about cancelling it, in the language of the booking, or "" for other
// bookings. Use it where customers decide to pay, such as payments.Texts.Submit. zone is
// the resource's; at is usually now. It has less than 600 characters.
func CancellationTerms(b booking.Booking, zone *time.Location, at time.Time) string {
	return locale.Of(b.Language).Terms(b, zone, at)
}

// notApplied says what happens on cancelling to money that does not pay for the booking,
// or "".
func (f details) notApplied() string {
	switch how := moneyOf(f.payment); how {
	case moneyNone, moneyOpen, moneyFailed:
		return f.T("Nothing has been paid, and cancelling costs nothing.")
	case moneyReturning, moneyReturned:
		_, text := f.returned(how)
		return text
	case moneyParked:
		return f.T("Your payment could not be applied automatically. We look into it, decide what is refunded, " +
			"and contact you.")
	}
	return ""
}

// unpaid describes cancelling a hold. The customer may just have paid, without an event
// yet.
func (f details) unpaid() string {
	b := f.booking
	switch moneyOf(f.payment) {
	case moneyNone, moneyOpen:
	case moneyApplied:
		return f.T("Your payment has just arrived. Reload this page to see what cancelling costs.")
	default:
		return f.T("You may cancel.") + " " + f.notApplied()
	}
	text := f.T("Nothing has been paid yet: you may cancel free of charge.")
	if t := b.TermsPaid(time.Now()); t.Refund != b.Amount {
		text += " " + f.T("If you have just paid, the terms of a paid booking apply:") + " " + f.Kept(b.Amount, t.Refund)
	}
	return text
}

// kept says how a cancellation divides the amount, disputes included.
func (f details) kept(refund booking.Money) string {
	if f.payment == nil || f.payment.GoesBack(refund) == refund {
		return f.Kept(f.booking.Amount, refund)
	}
	return strings.TrimSpace(f.contested(refund))
}

// contested says how a dispute changes a refund, or "".
func (f details) contested(refund booking.Money) string {
	switch {
	case f.payment == nil || refund.Minor == 0:
		return ""
	case f.payment.OpenDisputes > 0:
		return " " + f.T("Your bank is looking into this payment: nothing is refunded until that is decided.")
	case f.payment.Lost.Minor > 0:
		lost, back := f.Money(f.payment.Lost), f.payment.GoesBack(refund)
		if back.Minor > 0 {
			return " " + f.T("Your bank has already returned %s to you, and %s is refunded by us.", lost, f.Money(back))
		}
		return " " + f.T("Your bank has already returned %s to you: nothing more is refunded.", lost)
	}
	return ""
}
