package pages

import (
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
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
	switch {
	case b.Status == booking.StatusPending && f.paying() && t.Allowed && t.Refund == b.Amount:
		return "Your money is on its way: when you cancel, all of it is refunded as soon as it has arrived."
	case b.Status == booking.StatusPending && f.paying() && t.Allowed:
		return "Your money is on its way. When you cancel and it has arrived: " + f.kept(t.Refund)
	case b.Status == booking.StatusPending && !f.paying():
		return f.unpaid()
	case b.Status == booking.StatusPending:
	case b.Status != booking.StatusConfirmed:
		return ""
	case t.Allowed && b.Amount.Minor > 0:
		if text := f.notApplied(); text != "" {
			return "You may cancel until " + moment(t.Until, f.zone) + ". " + text
		}
	}
	if t.Allowed && b.Amount.Minor > 0 && t.Refund != b.Amount {
		return "You may cancel until " + moment(t.Until, f.zone) + ". " + f.kept(t.Refund)
	}
	text := describePolicy(b, t, f.zone)
	if t.Allowed {
		text += f.contested(t.Refund)
	}
	return text
}

// CancellationTerms returns the sentence that the pages show, once a hold or a confirmed
// booking is paid, about cancelling it, or "" for other bookings. Use it where customers
// decide to pay, such as payments.Texts.Submit. zone is the resource's; at is usually
// now. It has less than 500 characters.
func CancellationTerms(b booking.Booking, zone *time.Location, at time.Time) string {
	if b.Kind == booking.KindBlock || b.Status != booking.StatusPending && b.Status != booking.StatusConfirmed {
		return ""
	}
	t := b.TermsPaid(at)
	if !t.Allowed && !t.Until.IsZero() {
		return "It is too late to cancel this booking: that was possible until " + moment(t.Until, zone) + "."
	}
	return describePolicy(b, t, zone)
}

// describePolicy returns the terms of a paid booking.
func describePolicy(b booking.Booking, t booking.Terms, zone *time.Location) string {
	// A hold has the fee of a confirmed booking once it is paid.
	later := b.TermsPaid(t.FreeUntil)
	switch {
	case t.Until.IsZero():
		return "This booking can be neither cancelled nor moved."
	case !t.Allowed:
		return "This booking could be cancelled until " + moment(t.Until, zone) + "."
	case b.Amount.Minor == 0:
		return "You may cancel until " + moment(t.Until, zone) + "."
	case t.Refund != b.Amount:
		return "You may cancel until " + moment(t.Until, zone) + ". " + kept(b.Amount, t.Refund)
	case later.Allowed:
		return "You may cancel free of charge until " + moment(t.FreeUntil, zone) + ". After that, and until " +
			moment(t.Until, zone) + ", " +
			amount(later.Fee) + " of " + amount(b.Amount) + " is kept."
	}
	return "You may cancel free of charge until " + moment(t.FreeUntil, zone) + ", and not after that."
}

// describePolicyBefore describes a policy before a time is chosen, for a price.
func describePolicyBefore(p booking.Policy, price booking.Money) string {
	start := time.Unix(0, 0).Add(2 * maxNoticeOfPolicy)
	b := booking.Booking{
		Kind: booking.KindBooking, Status: booking.StatusConfirmed, Start: start, Amount: price, Policy: p,
	}
	before := func(d time.Duration) string {
		if d == 0 {
			return "it begins"
		}
		return length(d) + " before it begins"
	}
	late := b.Terms(start.Add(-p.FreeUntil))
	switch {
	case p.Never:
		return "It can be neither cancelled nor moved."
	case price.Minor == 0:
		return "You may cancel until " + before(p.ClosedFrom) + "."
	case late.Allowed && late.Fee.Minor > 0:
		return "You may cancel free of charge until " + before(p.FreeUntil) + ". After that, and until " +
			before(p.ClosedFrom) + ", " + amount(late.Fee) + " of " + amount(price) + " is kept."
	}
	return "You may cancel free of charge until " + before(p.ClosedFrom) + ", and not after that."
}

// maxNoticeOfPolicy is the most that a policy asks for, see [booking.Policy].
const maxNoticeOfPolicy = 365 * 24 * time.Hour

// notApplied says what happens on cancelling to money that does not pay for the booking,
// or "".
func (f details) notApplied() string {
	switch how := moneyOf(f.payment); how {
	case moneyNone, moneyOpen, moneyFailed:
		return "Nothing has been paid, and cancelling costs nothing."
	case moneyReturning, moneyReturned:
		_, text := f.returned(how)
		return text
	case moneyParked:
		return "Your payment could not be applied automatically. We look into it, decide what is refunded, " +
			"and contact you."
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
		return "Your payment has just arrived. Reload this page to see what cancelling costs."
	default:
		return "You may cancel. " + f.notApplied()
	}
	text := "Nothing has been paid yet: you may cancel free of charge."
	if t := b.TermsPaid(time.Now()); t.Refund != b.Amount {
		text += " If you have just paid, the terms of a paid booking apply: " + kept(b.Amount, t.Refund)
	}
	return text
}

// kept says how a cancellation divides the amount, disputes included.
func (f details) kept(refund booking.Money) string {
	if f.payment == nil || f.payment.GoesBack(refund) == refund {
		return kept(f.booking.Amount, refund)
	}
	return strings.TrimSpace(f.contested(refund))
}

// contested says how a dispute changes a refund, or "".
func (f details) contested(refund booking.Money) string {
	switch {
	case f.payment == nil || refund.Minor == 0:
		return ""
	case f.payment.OpenDisputes > 0:
		return " Your bank is looking into this payment: nothing is refunded until that is decided."
	case f.payment.Lost.Minor > 0:
		back := f.payment.GoesBack(refund)
		text := " Your bank has already returned " + amount(f.payment.Lost) + " to you"
		if back.Minor > 0 {
			return text + ", and " + amount(back) + " is refunded by us."
		}
		return text + ": nothing more is refunded."
	}
	return ""
}

func kept(all, refund booking.Money) string {
	switch {
	case all.Minor == 0:
		return "Nothing was charged."
	case refund.Minor == 0:
		return "The whole price, " + amount(all) + ", is kept."
	case refund == all:
		return "The whole price, " + amount(all) + ", is refunded."
	}
	fee := booking.Money{Minor: all.Minor - refund.Minor, Currency: all.Currency}
	return amount(fee) + " of " + amount(all) + " is kept, and " + amount(refund) + " is refunded."
}

// moment formats an instant in a zone that the page names elsewhere.
func moment(t time.Time, zone *time.Location) string {
	return t.In(zone).Format("Monday, 2 January 2006, 15:04 MST")
}
