package locale

import (
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// Terms returns the sentence about cancelling a hold or a confirmed booking once it is
// paid, or "" for other bookings. Use it where customers decide to pay. zone is the
// resource's; at is usually now. It has less than 600 characters.
func (l Locale) Terms(b booking.Booking, zone *time.Location, at time.Time) string {
	if b.Kind == booking.KindBlock || b.Status != booking.StatusPending && b.Status != booking.StatusConfirmed {
		return ""
	}
	t := b.TermsPaid(at)
	if !t.Allowed && !t.Until.IsZero() {
		return l.T("It is too late to cancel this booking: that was possible %s.", l.Until(t.Until, zone))
	}
	return l.PaidTerms(b, t, zone)
}

// Until returns "until" and the moment.
func (l Locale) Until(t time.Time, zone *time.Location) string {
	return l.T("until %s", l.Moment(t, zone))
}

// PaidTerms returns the sentence about the terms t of a paid booking.
func (l Locale) PaidTerms(b booking.Booking, t booking.Terms, zone *time.Location) string {
	// A hold has the fee of a confirmed booking once it is paid.
	later := b.TermsPaid(t.FreeUntil)
	until := func(at time.Time) string { return l.Until(at, zone) }
	switch {
	case t.Until.IsZero():
		return l.T("This booking can be neither cancelled nor moved.")
	case !t.Allowed:
		return l.T("This booking could be cancelled %s.", until(t.Until))
	case b.Amount.Minor == 0:
		return l.T("You may cancel %s.", until(t.Until))
	case t.Refund != b.Amount:
		return l.T("You may cancel %s.", until(t.Until)) + " " + l.Kept(b.Amount, t.Refund)
	case later.Allowed:
		return l.T("You may cancel free of charge %s. After that, and %s, %s of %s is kept.", until(t.FreeUntil),
			until(t.Until), l.Money(later.Fee), l.Money(b.Amount))
	}
	return l.T("You may cancel free of charge %s, and not after that.", until(t.FreeUntil))
}

// maxNoticeOfPolicy is the most that a policy asks for, see [booking.Policy].
const maxNoticeOfPolicy = 365 * 24 * time.Hour

// Policy describes a policy before a time is chosen, for a price.
func (l Locale) Policy(p booking.Policy, price booking.Money) string {
	start := time.Unix(0, 0).Add(2 * maxNoticeOfPolicy)
	b := booking.Booking{
		Kind: booking.KindBooking, Status: booking.StatusConfirmed, Start: start, Amount: price, Policy: p,
	}
	until := func(before time.Duration) string {
		if before == 0 {
			return l.T("until it begins")
		}
		return l.T("until %s before it begins", l.Length(before))
	}
	late := b.Terms(start.Add(-p.FreeUntil))
	switch {
	case p.Never:
		return l.T("It can be neither cancelled nor moved.")
	case price.Minor == 0:
		return l.T("You may cancel %s.", until(p.ClosedFrom))
	case late.Allowed && late.Fee.Minor > 0:
		return l.T("You may cancel free of charge %s. After that, and %s, %s of %s is kept.", until(p.FreeUntil),
			until(p.ClosedFrom), l.Money(late.Fee), l.Money(price))
	}
	return l.T("You may cancel free of charge %s, and not after that.", until(p.ClosedFrom))
}

// Kept says how a cancellation divides an amount: all minus refund is kept.
func (l Locale) Kept(all, refund booking.Money) string {
	switch {
	case all.Minor == 0:
		return l.T("Nothing was charged.")
	case refund.Minor == 0:
		return l.T("The whole price, %s, is kept.", l.Money(all))
	case refund == all:
		return l.T("The whole price, %s, is refunded.", l.Money(all))
	}
	fee := booking.Money{Minor: all.Minor - refund.Minor, Currency: all.Currency}
	return l.T("%s of %s is kept, and %s is refunded.", l.Money(fee), l.Money(all), l.Money(refund))
}
