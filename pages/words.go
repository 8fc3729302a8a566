package pages

import (
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// money is what has become of a customer's money, as far as the pages tell it apart.
type money int

const (
	// moneyNone: there is no payment.
	moneyNone money = iota
	// moneyOpen: the customer can still pay.
	moneyOpen
	// moneyFailed: nothing came, and nothing will.
	moneyFailed
	// moneyComing: it is on its way, by a method that takes days.
	moneyComing
	// moneyApplied: it came and pays for the booking; a dispute or a refund may have
	// taken some of it since.
	moneyApplied
	// moneyReturning: it came too late or twice, and goes back.
	moneyReturning
	// moneyReturned: all of it has gone back, and it never paid for the booking.
	moneyReturned
	// moneyParked: a person has to decide about it.
	moneyParked
)

func moneyOf(pay *payments.Payment) money {
	switch {
	case pay == nil:
		return moneyNone
	case pay.Status() == payments.Parked:
		return moneyParked
	case pay.Captured.Minor == 0:
		switch pay.Status() {
		case payments.Open:
			return moneyOpen
		case payments.Failed, payments.Expired:
			return moneyFailed
		}
		return moneyComing
	case pay.Applied():
		return moneyApplied
	case pay.Refunded.Minor+pay.Lost.Minor >= pay.Captured.Minor:
		return moneyReturned
	case pay.Unapplied != "":
		return moneyReturning
	}
	return moneyParked
}

// tell chooses the words for a booking's status and its money, and tells whether there is
// more to come soon.
func (v *bookingView) tell(f found) (waiting bool) {
	how := moneyOf(f.payment)
	say := func(mark, tone, headline, text string) {
		v.Mark, v.Tone, v.Headline, v.Text = mark, tone, headline, text
	}
	switch v.Status {
	case booking.Confirmed:
		say("✓", "good", "Your booking is confirmed", "Thank you. We look forward to seeing you."+f.besides(how))
	case booking.Completed:
		say("✓", "good", "You were here", "Thank you for coming."+f.besides(how))
	case booking.NoShow:
		say("–", "wait", "Marked as no-show", "You did not come to this booking."+f.besides(how))
	case booking.Cancelled:
		say("×", "bad", "This booking was cancelled", f.cancelled(how))
	case booking.Pending:
		return v.tellPending(f, how)
	default:
		return v.tellExpired(f, how)
	}
	return false
}

// tellPending is tell for a hold.
func (v *bookingView) tellPending(f found, how money) (waiting bool) {
	v.Mark, v.Tone = "…", "wait"
	switch how {
	case moneyNone, moneyOpen:
		if how == moneyOpen {
			v.Pay = f.payment.URL
		}
		v.Headline, v.Text = "Waiting for your payment", "As soon as it has arrived, this page says so."
		return true
	case moneyFailed:
		v.Mark, v.Tone, v.Headline, v.Text = "×", "bad", "Your payment did not go through",
			"Nothing was charged, and your time is no longer kept for you."
	case moneyComing:
		v.Headline, v.Text = "Your bank is at work",
			"Your payment takes a while to arrive. Your time is kept for you meanwhile."
	case moneyApplied:
		// The money and the confirmation are one transaction: it came between the two
		// reads of this page.
		v.Headline, v.Text = "Your payment has arrived", "Your booking is being confirmed."
		return true
	case moneyReturning, moneyReturned:
		v.Mark, v.Tone = "×", "bad"
		v.Headline, v.Text = f.returned(how)
	case moneyParked:
		v.Headline, v.Text = "Your payment has arrived", lookedInto
	}
	return false
}

// tellExpired is tell for a hold that has ended.
func (v *bookingView) tellExpired(f found, how money) (waiting bool) {
	v.Mark, v.Tone = "×", "bad"
	switch how {
	case moneyNone, moneyOpen, moneyFailed:
		v.Headline, v.Text = "This hold has ended", "It was not paid for in time. Nothing was charged."
	case moneyComing:
		v.Mark, v.Tone, v.Headline = "…", "wait", "Your bank is at work"
		v.Text = "Your payment did not arrive in time, and your time is no longer kept. " +
			"If it is still free when the payment arrives, it is yours; otherwise all of the money is given back."
	case moneyReturning, moneyReturned:
		v.Headline, v.Text = f.returned(how)
	case moneyApplied:
		// As above, and the time was still free.
		v.Mark, v.Tone, v.Headline, v.Text = "…", "wait", "Your payment has arrived", "Your booking is being confirmed."
		return true
	case moneyParked:
		v.Mark, v.Tone, v.Headline, v.Text = "…", "wait", "Your payment has arrived", lookedInto
	}
	return false
}

// lookedInto is about money that a person has to decide about.
const lookedInto = "It could not be applied to your booking automatically. We look into it and contact you."

// besides is what a booking that stands says about money that did not pay for it; ""
// where there is none.
func (f found) besides(how money) string {
	switch how {
	case moneyParked:
		return " Your payment could not be applied automatically. We look into it and contact you."
	case moneyReturning, moneyReturned:
		_, text := f.returned(how)
		return " " + text
	}
	return ""
}

// cancelled says what becomes of the money of a cancelled booking.
func (f found) cancelled(how money) string {
	switch how {
	case moneyApplied:
		if f.booking.Refund != nil {
			return f.kept(*f.booking.Refund)
		}
		return "Your payment has arrived all the same. We look into it and contact you."
	case moneyComing:
		refund := f.booking.Amount
		if f.booking.LateRefund != nil {
			refund = *f.booking.LateRefund
		}
		return "Your payment is still on its way. When it has arrived: " + f.kept(refund)
	case moneyParked:
		return "Your payment could not be applied to it. We look into it and contact you."
	case moneyReturning, moneyReturned:
		_, text := f.returned(how)
		return text
	}
	return "Nothing was charged."
}

// returned says that money which did not pay for the booking goes back, or has gone back.
func (f found) returned(how money) (headline, text string) {
	all := f.payment.Captured
	switch {
	case f.payment.OpenDisputes > 0, f.payment.Lost.Minor > 0:
		return "Your payment came too late", strings.TrimSpace(f.contested(all))
	case how == moneyReturned:
		return "Your payment was given back", "Your payment could not be used for this booking. All of it, " +
			amount(all) + ", has been given back to you."
	}
	return "Your payment is given back", "Your payment could not be used for this booking. All of it, " + amount(all) +
		", is given back to you automatically."
}
