package pages

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// bookView is the page that books.
type bookView struct {
	page
	Resource booking.Resource
	// Others, Offers and Parties are links to what else can be booked, in which ways, and
	// for how many; none where there is no choice.
	Others, Offers, Parties []choice
	// More tells that larger parties than those with a link can come.
	More bool
	// Length and Price are facts; Total is what the whole party pays.
	Length, Price, Total string
	Free                 bool
	Week                 week
	// From is the first day that is shown.
	From     string
	Form     form
	Problems map[string]string
	Message  string
}

// book shows what is free. The query chooses the resource, the offer, the party and the
// first day.
func (p *Pages) book(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	f := emptyForm()
	f.Resource, f.Offer, f.From = query.Get("resource"), query.Get("offer"), query.Get("from")
	if query.Has("party") {
		f.Party = query.Get("party")
	}
	p.showBook(w, r, http.StatusOK, bookView{Form: f})
}

// paymentRefused is what a customer is told of payments.ErrRefused.
const paymentRefused = "This cannot be paid online at the moment, and trying again will not help. " +
	"Nothing was charged and nothing is booked. Please contact us."

// takeBooking does what POST /api/bookings does, and sends the customer on to pay.
func (p *Pages) takeBooking(w http.ResponseWriter, r *http.Request) {
	if !p.parse(w, r) {
		return
	}
	f := readForm(r.PostForm)
	wish, problems := f.wish()
	ctx := booking.WithActor(r.Context(), customer)
	wish.Client = p.opts.Client(ctx)
	booked, err := payments.Booked{}, error(nil)
	if len(problems) > 0 {
		err = booking.WithProblems(p.opts.Bookings.Check(ctx, wish), problems)
	} else {
		booked, err = p.opts.Payments.Book(ctx, wish)
	}
	again := bookView{Form: f}
	var invalid *booking.ValidationError
	var limit *booking.HoldLimitError
	var rate *payments.RateLimitError
	status := http.StatusConflict
	switch {
	case err == nil && (booked.Booking.Status == booking.Pending || booked.Booking.Status == booking.Confirmed):
		http.Redirect(w, r, booked.URL, http.StatusSeeOther)
		return
	case err == nil, errors.Is(err, booking.ErrHoldExpired), errors.Is(err, booking.ErrIdempotencyMismatch):
		again.Message = "Your earlier hold on this time has ended. Please choose again."
		again.Form.Key = newKey()
	case errors.Is(err, booking.ErrSlotTaken):
		again.Message = "Somebody was faster: that time has just been taken. These are still free."
		again.Form.Start = ""
	case errors.As(err, &limit):
		status = http.StatusTooManyRequests
		seconds := int(limit.RetryAfter(time.Now()) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		again.Message = tooMany(limit, seconds)
	case errors.As(err, &rate):
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		again.Message = tooFast(rate)
	case errors.Is(err, payments.ErrUnavailable):
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(max(5, int(payments.RetryAfter(err)/time.Second))))
		again.Message = "The payment service cannot be reached right now. Nothing was charged and nothing is booked; please try again in a moment."
		again.Form.Key = newKey()
	case errors.Is(err, payments.ErrRefused):
		status = http.StatusServiceUnavailable
		again.Message = paymentRefused
		again.Form.Key = newKey()
	case errors.As(err, &invalid):
		status = http.StatusBadRequest
		again.Problems = invalid.Fields
		again.Message = "Please look at what is marked below."
		if invalid.Fields["resource"] != "" {
			again.Message = "What you chose cannot be booked any more. This can:"
		}
		if invalid.Fields["start"] != "" && f.Start == "" {
			again.Problems["start"] = "please choose a time"
		}
	default:
		p.fail(w, r, err)
		return
	}
	p.showBook(w, r, status, again)
}

// tooMany says what to do about a limit of what is held or comes free of charge. What
// ends in more than an hour is a booking that costs nothing.
func tooMany(limit *booking.HoldLimitError, seconds int) string {
	wait, mine, free := "in "+plural((seconds+59)/60, "minute"), "Please pay for one of them", ""
	if seconds >= 3600 {
		wait, mine, free = "later", "Please pay for one of them or cancel it", ", with those that cost nothing"
	}
	if limit.Scope == booking.ScopeClient {
		return "Too many times are being held from where you are. Please try again " + wait + "."
	}
	return "You hold " + plural(limit.Limit, "time") + " already" + free + ". " + mine + ", or try again " + wait + "."
}

// tooFast says when a network may book again.
func tooFast(rate *payments.RateLimitError) string {
	return "Too many bookings are being made from where you are. Please try again in " + plural(rate.Seconds(),
		"second") + "."
}

// showBook fills in what is free and renders.
func (p *Pages) showBook(w http.ResponseWriter, r *http.Request, status int, v bookView) {
	ctx := r.Context()
	all, err := p.opts.Bookings.Resources(ctx)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if len(all) == 0 {
		p.render(w, http.StatusOK, "nothing.html",
			nothing{page: p.page("Nothing can be booked yet"), Text: "Please come back later."})
		return
	}
	v.Resource = all[0]
	for _, res := range all {
		if v.Form.Resource == res.Slug || v.Form.Resource == res.ID {
			v.Resource = res
		}
	}
	v.page = p.page(v.Resource.Name)
	v.Wide = true
	if err := p.fillWeek(ctx, &v, all); err != nil {
		p.fail(w, r, err)
		return
	}
	p.render(w, status, "book.html", v)
}

// fillWeek finds the week to show, from the day that was asked for, or today, and the
// links around it.
func (p *Pages) fillWeek(ctx context.Context, v *bookView, all []booking.Resource) error {
	zone, err := v.Resource.Zone()
	if err != nil {
		return err
	}
	today, last := bounds(v.Resource, zone, time.Now())
	// Times that are too small for the party are not offered; a party that is too large
	// for any has been told so.
	at := ask{resource: v.Resource.Slug, party: min(max(1, v.Form.heads()), v.Resource.Capacity),
		from: firstDay(v.Form.From, today, last)}
	offer := v.choose(&at)
	v.describe(at, offer)
	v.link(at, all)
	from, to := span(at.from, zone)
	free, err := p.opts.Bookings.Availability(ctx, booking.AvailabilityRequest{
		Resources: []string{v.Resource.ID}, Offer: at.offer, From: from, To: to, Party: at.party,
	})
	if err != nil {
		return err
	}
	chosen, _ := time.Parse(time.RFC3339, v.Form.Start)
	link := func(day booking.Date) string {
		other := at
		other.from = day
		return other.link()
	}
	v.Week = newWeek(free[0].Slots, zone, at.from, today, last, v.Resource.Capacity, chosen, link)
	return p.pointOn(ctx, &v.Week, booking.NextSlotRequest{Resource: v.Resource.ID, Offer: at.offer, Party: at.party,
		After: to}, zone, link)
}
