package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// maxRefreshes bounds how often a page asks again by itself, once a second, whether the
// payment has arrived.
const maxRefreshes = 30

// bookingView is one booking as its customer sees it.
type bookingView struct {
	page
	Mark, Tone, Headline, Text string
	What, When, Name           string
	Party                      int
	Amount, Payment            string
	Status                     booking.Status
	ID                         string
	// Again is a link to ask again, Pay to Stripe's page while it can be paid; Keep is
	// the link that shows the booking at any time.
	Again, Pay, Keep string
	// Calendar is where the file for the customer's calendar is.
	Calendar string
	// Terms say what cancelling gives; Cancel and Move are links to where that is done,
	// as long as it may be.
	Terms, Cancel, Move string
}

// success is where customers return from paying, and what their link shows. It tells what
// is known: a payment is confirmed by what Stripe says, its event or its answer, and not
// by who visits an address.
func (p *Pages) success(w http.ResponseWriter, r *http.Request) {
	f, err := p.find(r)
	if err != nil {
		p.failFinding(w, r, err)
		return
	}
	b := f.booking
	v := bookingView{
		page: p.page("Your booking"),
		What: f.what(), When: when(b, f.zone), Name: b.Customer.FirstName + " " + b.Customer.LastName, Party: b.Party,
		Amount: amount(b.Amount), Status: b.Status, ID: b.ID,
	}
	if f.payment != nil {
		v.Payment = string(f.payment.Status())
	}
	if v.tell(f) {
		v.askAgain(r)
	}
	if b.OwnerToken != "" {
		v.Keep = p.opts.Payments.BookingURL(b.ID, b.OwnerToken)
		v.offer(f, time.Now())
		if b.Status == booking.Confirmed {
			v.Calendar = calendarLink(b.ID, b.OwnerToken)
		}
	}
	v.Title = v.Headline
	p.render(w, http.StatusOK, "booking.html", v)
}

// calendarLink leads to a booking's calendar file, for who has its token.
func calendarLink(id, token string) string {
	return "/api/bookings/" + id + "/calendar.ics?" + url.Values{"token": {token}}.Encode()
}

// askAgain has the browser come back a bounded number of times, and then leaves it to the
// customer.
func (v *bookingView) askAgain(r *http.Request) {
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
	v.Again = "/success?" + next.Encode()
	if n < maxRefreshes {
		next.Set("n", strconv.Itoa(n+1))
		v.Refresh = "1;url=/success?" + next.Encode()
	}
}

// left is where customers return who did not pay. It says so and changes nothing: the
// hold ends by itself, and until then they may go back and pay.
func (p *Pages) left(w http.ResponseWriter, _ *http.Request) {
	p.render(w, http.StatusOK, "nothing.html", nothing{
		page: p.page("You left before paying"),
		Text: "Nothing was charged. Your time is kept for a little while: go back in your browser to pay for it after all, or book again.",
		Back: "/",
	})
}
