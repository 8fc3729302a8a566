package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// maxRefreshes is how often the page reloads itself, once a second, to see whether the
// payment has arrived.
const maxRefreshes = 30

type bookingView struct {
	page
	Mark, Tone, Headline, Text string
	What, When, Name           string
	Phone, Note                string
	Party                      int
	Amount, Payment            string
	Status                     booking.Status
	StatusText, Number         string
	// Again reloads the page, Pay is Stripe's page while the booking can be paid for, and
	// Keep is the permanent link of the booking.
	Again, Pay, Keep string
	// Calendar is the link of the calendar file.
	Calendar string
	// Terms describe the cancellation. Cancel and Move are links, empty if not allowed.
	Terms, Cancel, Move string
}

// showBooking is the page to which customers return from paying, and that of their link.
// Visiting it confirms nothing; only Stripe's event or answer does.
func (p *Pages) showBooking(w http.ResponseWriter, r *http.Request) {
	f, err := p.lookup(r)
	if err != nil {
		p.lookupError(w, r, err)
		return
	}
	b := f.booking
	v := bookingView{
		page: p.page(f.Locale, f.T("Your booking")),
		What: f.what(), When: f.when(), Name: b.Customer.Name(), Party: b.Party,
		Phone: b.Customer.Phone, Note: b.Note, Amount: f.Price(b.Amount), Status: b.Status,
		StatusText: statusText(f.Locale, b.Status), Number: number(b),
	}
	if f.payment != nil {
		v.Payment = paymentText(f.Locale, f.payment.Status())
	}
	if v.setHeadline(f) {
		v.setRefresh(p.prefix, r)
	}
	if r.URL.Query().Get("did") == "moved" && b.Status == booking.StatusConfirmed {
		v.Headline = f.T("Your booking was moved")
		v.Text = f.T("Your booking is confirmed for the new time below. The old one is free again.") + f.unappliedNote(moneyOf(f.payment))
	}
	if b.OwnerToken != "" {
		v.Keep = p.deps.Payments.BookingURL(b.ID, b.OwnerToken)
		p.setActions(&v, f, time.Now())
		if b.Status == booking.StatusConfirmed {
			v.Calendar = p.opts.CalendarPath(b.ID, b.OwnerToken)
		}
	}
	v.Title = v.Headline
	p.render(w, http.StatusOK, "booking.html", v)
}

// setRefresh makes the browser reload the page up to maxRefreshes times.
func (v *bookingView) setRefresh(prefix string, r *http.Request) {
	query := r.URL.Query()
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || n < 0 {
		n = 0
	}
	next := url.Values{}
	for _, name := range []string{"session_id", "booking", "token"} {
		if query.Has(name) {
			next.Set(name, query.Get(name))
		}
	}
	v.Again = prefix + "/success?" + next.Encode()
	if n < maxRefreshes {
		next.Set("n", strconv.Itoa(n+1))
		v.Refresh = "1;url=" + prefix + "/success?" + next.Encode()
	}
}

// money is the state of a customer's payment, as far as the pages distinguish it.
type money int

const (
	// moneyNone: there is no payment.
	moneyNone money = iota
	// moneyOpen: the customer can still pay.
	moneyOpen
	// moneyFailed: nothing was paid, and nothing can be.
	moneyFailed
	// moneyComing: a payment method that takes days.
	moneyComing
	// moneyApplied: it pays for the booking. A dispute or a refund may have taken some.
	moneyApplied
	// moneyReturning: paid too late or twice, and to be refunded.
	moneyReturning
	// moneyReturned: refunded without having paid for the booking.
	moneyReturned
	// moneyParked: an operator has to decide.
	moneyParked
)

func moneyOf(pay *payments.Payment) money {
	switch {
	case pay == nil:
		return moneyNone
	case pay.Status() == payments.StatusParked:
		return moneyParked
	case pay.Captured.Minor == 0:
		switch pay.Status() {
		case payments.StatusOpen:
			return moneyOpen
		case payments.StatusFailed, payments.StatusExpired:
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

// setHeadline sets the text for the booking's status and payment. It reports whether that
// is likely to change within seconds.
func (v *bookingView) setHeadline(f details) (waiting bool) {
	how := moneyOf(f.payment)
	say := func(mark, tone, headline, text string) {
		v.Mark, v.Tone, v.Headline, v.Text = mark, tone, headline, text
	}
	switch v.Status {
	case booking.StatusConfirmed:
		say("✓", "good", f.T("Your booking is confirmed"),
			f.T("Thank you. We look forward to seeing you.")+f.unappliedNote(how))
	case booking.StatusCompleted:
		say("✓", "good", f.T("Your booking is completed"), f.T("Thank you for coming.")+f.unappliedNote(how))
	case booking.StatusNoShow:
		say("–", "wait", f.T("Marked as no-show"), f.T("You did not come to this booking.")+f.unappliedNote(how))
	case booking.StatusCancelled:
		say("×", "bad", f.T("This booking was cancelled"), f.cancelled(how))
	case booking.StatusPending:
		return v.setPending(f, how)
	default:
		return v.setExpired(f, how)
	}
	return false
}

func (v *bookingView) setPending(f details, how money) (waiting bool) {
	v.Mark, v.Tone = "…", "wait"
	switch how {
	case moneyNone, moneyOpen:
		if how == moneyOpen {
			v.Pay = f.payment.URL
		}
		v.Headline, v.Text = f.T("Waiting for your payment"),
			f.keptUntil()+f.T("This page shows when it has arrived.")+f.movedNote()
		return true
	case moneyFailed:
		v.Mark, v.Tone, v.Headline, v.Text = "×", "bad", f.T("Your payment did not go through"),
			f.T("Nothing was charged, and your time is no longer kept for you.")
	case moneyComing:
		v.Headline, v.Text = f.T("Payment processing"),
			f.T("Your payment takes a while to arrive. Your time is kept for you meanwhile.")
	case moneyApplied:
		// Payment and booking were read one after the other; the payment came in between.
		v.Headline, v.Text = f.T("Your payment has arrived"), f.T("Your booking is being confirmed.")
		return true
	case moneyReturning, moneyReturned:
		v.Mark, v.Tone = "×", "bad"
		v.Headline, v.Text = f.returned(how)
	case moneyParked:
		v.Headline, v.Text = f.T("Your payment has arrived"), f.underReview()
	}
	return false
}

func (v *bookingView) setExpired(f details, how money) (waiting bool) {
	v.Mark, v.Tone = "×", "bad"
	switch how {
	case moneyNone, moneyOpen, moneyFailed:
		v.Headline, v.Text = f.T("This booking has expired"), f.T("It was not paid for in time. Nothing was charged.")
	case moneyComing:
		v.Mark, v.Tone, v.Headline = "…", "wait", f.T("Payment processing")
		v.Text = f.T("Your payment did not arrive in time, and your time is no longer kept. " +
			"If it is still free when the payment arrives, it is yours; otherwise the whole payment is refunded.")
	case moneyReturning, moneyReturned:
		v.Headline, v.Text = f.returned(how)
	case moneyApplied:
		// As above.
		v.Mark, v.Tone = "…", "wait"
		v.Headline, v.Text = f.T("Your payment has arrived"), f.T("Your booking is being confirmed.")
		return true
	case moneyParked:
		v.Mark, v.Tone, v.Headline, v.Text = "…", "wait", f.T("Your payment has arrived"), f.underReview()
	}
	return false
}

// underReview is the text of moneyParked.
func (f details) underReview() string {
	return f.T("It could not be applied to your booking automatically. We look into it and contact you.")
}

// keptUntil says until when the hold lasts, or "".
func (f details) keptUntil() string {
	if !time.Now().Before(f.booking.HoldExpiresAt) {
		return ""
	}
	return f.T("This time is reserved for you until %s.", f.booking.HoldExpiresAt.In(f.zone).Format("15:04")) + " "
}

// unappliedNote is what a confirmed booking says about money that did not pay for it, or
// "".
func (f details) unappliedNote(how money) string {
	switch how {
	case moneyParked:
		return " " + f.T("Your payment could not be applied automatically. We look into it and contact you.")
	case moneyReturning, moneyReturned:
		_, text := f.returned(how)
		return " " + text
	}
	return ""
}

// cancelled says what happens to the money of a cancelled booking.
func (f details) cancelled(how money) string {
	switch how {
	case moneyApplied:
		if f.booking.Refund != nil {
			return f.kept(*f.booking.Refund) + f.refundTakes(f.payment.GoesBack(*f.booking.Refund))
		}
		return f.T("Your payment has arrived nevertheless. We look into it and contact you.")
	case moneyComing:
		refund := f.booking.Amount
		if f.booking.LateRefund != nil {
			refund = *f.booking.LateRefund
		}
		return f.T("Your payment is still on its way. When it has arrived:") + " " + f.kept(refund)
	case moneyParked:
		return f.T("Your payment could not be applied to it. We look into it and contact you.")
	case moneyReturning, moneyReturned:
		_, text := f.returned(how)
		return text
	}
	return f.T("Nothing was charged.")
}

// refundTakes says how long a refund of a payment at Stripe takes, or "".
func (f details) refundTakes(refund booking.Money) string {
	if refund.Minor == 0 || f.payment.SessionID == "" || f.payment.Refunded.Minor > 0 && f.payment.Refunded == refund {
		return ""
	}
	return " " + f.T("It reaches your account within 5 to 10 business days.")
}

// returned is the text of moneyReturning and moneyReturned.
func (f details) returned(how money) (headline, text string) {
	all := f.payment.Captured
	switch {
	case f.payment.OpenDisputes > 0, f.payment.Lost.Minor > 0:
		return f.T("Your payment came too late"), strings.TrimSpace(f.contested(all))
	case how == moneyReturned:
		return f.T("Your payment was refunded"),
			f.T("Your payment could not be used for this booking. All of it, %s, has been refunded to you.", f.Money(all))
	}
	return f.T("Your payment is refunded"),
		f.T("Your payment could not be used for this booking. All of it, %s, is refunded to you automatically.",
			f.Money(all)) + f.refundTakes(all)
}
