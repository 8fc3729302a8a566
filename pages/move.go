package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// moveView is the page that gives a booking another time.
type moveView struct {
	page
	What, When, Price string
	Party             int
	ID, Token, From   string
	// Movable tells whether there is a week to choose from.
	Movable          bool
	Week             week
	Message, Problem string
	// Back is the booking's page.
	Back string

	chosen time.Time
}

// askMove shows the times to which a booking can be moved. The query chooses the first
// day.
func (p *Pages) askMove(w http.ResponseWriter, r *http.Request) {
	f, err := p.owned(r.Context(), r.URL.Query())
	if err != nil {
		p.failFinding(w, r, err)
		return
	}
	p.showMove(w, r, http.StatusOK, f, moveView{From: r.URL.Query().Get("from")})
}

// takeMove does what POST /api/bookings/{id}/reschedule does for its owner.
func (p *Pages) takeMove(w http.ResponseWriter, r *http.Request) {
	f, ok := p.ownedForm(w, r)
	if !ok {
		return
	}
	again := moveView{From: strings.TrimSpace(r.PostForm.Get("from"))}
	start, err := time.Parse(time.RFC3339, strings.TrimSpace(r.PostForm.Get("start")))
	if err != nil {
		again.Problem = "please choose a time"
		p.showMove(w, r, http.StatusBadRequest, f, again)
		return
	}
	again.chosen = start
	if err = p.opts.AdmitMove(r.Context()); err == nil {
		_, err = p.opts.Bookings.Reschedule(booking.WithActor(r.Context(), customer), booking.RescheduleRequest{
			ID: f.booking.ID, Start: start, ByCustomer: true,
		})
	}
	var settled *booking.StatusError
	var invalid *booking.ValidationError
	var rate *payments.RateLimitError
	switch {
	case err == nil, errors.As(err, &settled), errors.Is(err, booking.ErrHoldExpired):
		// Its page tells what it is.
		http.Redirect(w, r, pagePath(f.booking.ID, f.booking.OwnerToken), http.StatusSeeOther)
	case errors.Is(err, booking.ErrSlotTaken):
		again.Message = "Somebody was faster: that time has just been taken. These are still free. Your booking is as it was."
		p.showMove(w, r, http.StatusConflict, f, again)
	case errors.Is(err, booking.ErrPolicy):
		again.Message = "It is too late: this booking can no longer be moved."
		p.showMove(w, r, http.StatusConflict, f, again)
	case errors.As(err, &rate):
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		again.Message = tooFast(rate) + " Your booking is as it was."
		p.showMove(w, r, http.StatusTooManyRequests, f, again)
	case errors.As(err, &invalid):
		again.Problem = invalid.Fields["start"]
		if again.Problem == "" {
			again.Message = "What you have booked is no longer sold in this way. Please get in touch with us to move it."
		}
		p.showMove(w, r, http.StatusBadRequest, f, again)
	default:
		p.failFinding(w, r, err)
	}
}

// showMove fills in what is free and renders.
func (p *Pages) showMove(w http.ResponseWriter, r *http.Request, status int, f found, v moveView) {
	b := f.booking
	v.page = p.page("Move this booking")
	v.Wide = true
	v.What, v.When, v.Party, v.ID, v.Token = f.what(), when(b, f.zone), b.Party, b.ID, b.OwnerToken
	v.Back = pagePath(b.ID, b.OwnerToken)
	if b.Amount.Minor > 0 {
		v.Price = amount(b.Amount)
	}
	now := time.Now()
	if v.Movable = f.movable(b.Terms(now), now); v.Movable {
		if err := p.fillMove(r.Context(), &v, f, now); err != nil {
			p.fail(w, r, err)
			return
		}
	}
	if !v.Movable && v.Message == "" {
		v.Message = "This booking cannot be moved any more."
	}
	p.render(w, status, "move.html", v)
}

// fillMove finds the week to show. A time that overlaps the booking itself can be taken
// too, but is not among those that are free.
func (p *Pages) fillMove(ctx context.Context, v *moveView, f found, now time.Time) error {
	today, last := bounds(f.resource, f.zone, now)
	first := firstDay(v.From, today, last)
	v.From = first.String()
	from, to := span(first, f.zone)
	free, err := p.opts.Bookings.Availability(ctx, booking.AvailabilityRequest{
		Resources: []string{f.resource.ID}, Offer: f.booking.Offer, From: from, To: to, Party: f.booking.Party,
	})
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		// The offer is no longer sold.
		v.Movable = false
		return nil
	}
	if err != nil {
		return err
	}
	link := func(day booking.Date) string {
		return f.path("/booking/move") + "&" + url.Values{"from": {day.String()}}.Encode()
	}
	v.Week = newWeek(free[0].Slots, f.zone, first, today, last, f.resource.Capacity, v.chosen, link)
	return p.pointOn(ctx, &v.Week, booking.NextSlotRequest{Resource: f.resource.ID, Offer: f.booking.Offer,
		Party: f.booking.Party, After: to}, f.zone, link)
}
