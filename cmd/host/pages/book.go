package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/checkout"
)

// bookView is the page that books.
type bookView struct {
	page
	Resource booking.Resource
	// Others are all resources, where there are several.
	Others        []booking.Resource
	Length, Price string
	Free          bool
	Days          []dayView
	// From is the first day that was looked at; Earlier and Later are links.
	From, Earlier, Later string
	Form                 form
	Problems             map[string]string
	Message              string
}

// book shows what is free. The query chooses the resource and the first day.
func (p *Pages) book(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	p.showBook(w, r, http.StatusOK, query.Get("resource"), query.Get("from"), bookView{Form: emptyForm()})
}

// takeBooking does what POST /api/bookings does, and sends the customer on to pay.
func (p *Pages) takeBooking(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		p.render(w, http.StatusBadRequest, "nothing.html", nothing{page: p.page("That could not be read"), Text: "Please try again.", Back: "/"})
		return
	}
	f := readForm(r.PostForm)
	wish, problems := f.wish()
	begun, err := checkout.Begun{}, error(nil)
	if len(problems) > 0 {
		err = p.opts.Desk.Explain(r.Context(), wish, problems)
	} else {
		begun, err = p.opts.Desk.Begin(r.Context(), wish)
	}
	again := bookView{Form: f}
	var invalid *booking.ValidationError
	status := http.StatusConflict
	switch {
	case err == nil && (begun.Booking.Status == booking.Pending || begun.Booking.Status == booking.Confirmed):
		http.Redirect(w, r, begun.URL, http.StatusSeeOther)
		return
	case err == nil, errors.Is(err, booking.ErrHoldExpired), errors.Is(err, booking.ErrIdempotencyMismatch):
		again.Message = "Your earlier hold on this time has ended. Please choose again."
		again.Form.Key = newKey()
	case errors.Is(err, booking.ErrSlotTaken):
		again.Message = "Somebody was faster: that time has just been taken. These are still free."
		again.Form.Start = ""
	case errors.Is(err, checkout.ErrPaymentUnavailable):
		status = http.StatusServiceUnavailable
		again.Message = "The payment service cannot be reached right now. Nothing was charged and nothing is booked; please try again in a moment."
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
	p.showBook(w, r, status, r.PostForm.Get("resource"), r.PostForm.Get("from"), again)
}

// showBook fills in what is free and renders.
func (p *Pages) showBook(w http.ResponseWriter, r *http.Request, status int, resource, from string, v bookView) {
	ctx := r.Context()
	all, err := p.opts.Bookings.Resources(ctx)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if len(all) == 0 {
		p.render(w, http.StatusOK, "nothing.html", nothing{page: p.page("Nothing can be booked yet"), Text: "Please come back later."})
		return
	}
	v.Resource = all[0]
	for _, res := range all {
		if resource == res.Slug || resource == res.ID {
			v.Resource = res
		}
	}
	if len(all) > 1 {
		v.Others = all
	}
	v.page = p.page(v.Resource.Name)
	v.Length, v.Free = length(v.Resource.SlotLength), v.Resource.Price.IsZero()
	v.Price = amount(v.Resource.Price)
	if v.Free {
		v.Price = "Free of charge"
	} else if v.Resource.Capacity > 1 {
		v.Price += " per person"
	}
	if err := p.fillDays(ctx, &v, from); err != nil {
		p.fail(w, r, err)
		return
	}
	p.render(w, status, "book.html", v)
}

// fillDays finds the days to show, from the one that was asked for, or today.
func (p *Pages) fillDays(ctx context.Context, v *bookView, from string) error {
	zone, err := time.LoadLocation(v.Resource.TimeZone)
	if err != nil {
		return err
	}
	now := time.Now().In(zone)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, zone)
	last := now.Add(v.Resource.Horizon)
	first := today
	if day, err := time.ParseInLocation(time.DateOnly, from, zone); err == nil && day.After(today) && !day.After(last) {
		first = day
	}
	// Times that are too small for the party are not offered; a party that is too large for any has been told so.
	heads := min(max(1, v.Form.heads()), v.Resource.Capacity)
	slots, err := p.opts.Bookings.Slots(ctx, v.Resource.ID, first, first.AddDate(0, 0, daysLooked), heads)
	if err != nil {
		return err
	}
	chosen, _ := time.Parse(time.RFC3339, v.Form.Start)
	v.Days = byDay(slots, zone, v.Resource.Capacity, chosen)
	next := first.AddDate(0, 0, daysLooked)
	if len(v.Days) > daysShown {
		next, _ = time.ParseInLocation(time.DateOnly, v.Days[daysShown].date, zone)
		v.Days = v.Days[:daysShown]
	}
	v.From = first.Format(time.DateOnly)
	link := func(day time.Time) string {
		return "/?" + url.Values{"resource": {v.Resource.Slug}, "from": {day.Format(time.DateOnly)}}.Encode()
	}
	if !next.After(last) {
		v.Later = link(next)
	}
	if first.After(today) {
		earlier := first.AddDate(0, 0, -daysShown)
		if earlier.Before(today) {
			earlier = today
		}
		v.Earlier = link(earlier)
	}
	return nil
}
