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

// cancelView asks for confirmation.
type cancelView struct {
	page
	What, When, Terms, Message string
	ID, Token                  string
	// Allowed shows the button. Back is the booking's page.
	Allowed bool
	Back    string
}

// showCancel shows the terms and the button. The link alone cancels nothing, because mail
// scanners follow links.
func (p *Pages) showCancel(w http.ResponseWriter, r *http.Request) {
	f, err := p.lookupOwned(r, r.URL.Query())
	if err != nil {
		p.lookupError(w, r, err)
		return
	}
	p.renderCancel(w, http.StatusOK, f, "")
}

func (p *Pages) renderCancel(w http.ResponseWriter, status int, f details, message string) {
	terms := f.cancellation(time.Now())
	v := cancelView{
		page: p.page(f.Locale, f.T("Cancel this booking?")), What: f.what(), When: f.when(),
		Terms:   f.describeTerms(terms),
		Message: message,
		ID:      f.booking.ID, Token: f.booking.OwnerToken, Allowed: terms.Allowed,
		Back: p.path("/success", f.booking),
	}
	if !v.Allowed && message == "" {
		v.Title = f.T("This booking cannot be cancelled here")
	}
	p.render(w, status, "cancel.html", v)
}

// postCancel is POST /api/bookings/{id}/cancel for the owner.
func (p *Pages) postCancel(w http.ResponseWriter, r *http.Request) {
	f, ok := p.lookupForm(w, r)
	if !ok {
		return
	}
	_, err := p.deps.Payments.Cancel(booking.WithActor(r.Context(), customer),
		booking.CancelRequest{ID: f.booking.ID, ByCustomer: true})
	var status *booking.StatusError
	switch {
	case err == nil, errors.As(err, &status):
		// The page shows the status.
		http.Redirect(w, r, p.path("/success", f.booking), http.StatusSeeOther)
	case errors.Is(err, booking.ErrPolicy):
		p.renderCancel(w, http.StatusConflict, f, f.T("It is too late: this booking can no longer be cancelled."))
	default:
		p.lookupError(w, r, err)
	}
}

type moveView struct {
	page
	What, When, Price string
	Party             int
	ID, Token, From   string
	// Movable shows the week.
	Movable          bool
	Week             week
	Message, Problem string
	Back             string // The booking's page.

	chosen time.Time
}

// showMove shows the free slots of a week. The query selects the first day.
func (p *Pages) showMove(w http.ResponseWriter, r *http.Request) {
	f, err := p.lookupOwned(r, r.URL.Query())
	if err != nil {
		p.lookupError(w, r, err)
		return
	}
	p.renderMove(w, r, http.StatusOK, f, moveView{From: r.URL.Query().Get("from")})
}

// postMove is POST /api/bookings/{id}/reschedule for the owner.
func (p *Pages) postMove(w http.ResponseWriter, r *http.Request) {
	f, ok := p.lookupForm(w, r)
	if !ok {
		return
	}
	again := moveView{From: strings.TrimSpace(r.PostForm.Get("from"))}
	start, err := time.Parse(time.RFC3339, strings.TrimSpace(r.PostForm.Get("start")))
	if err != nil {
		again.Problem = f.T("please choose a time")
		p.renderMove(w, r, http.StatusBadRequest, f, again)
		return
	}
	again.chosen = start
	if err = p.opts.AdmitMove(r.Context()); err == nil {
		_, err = p.deps.Bookings.Reschedule(booking.WithActor(r.Context(), customer), booking.RescheduleRequest{
			ID: f.booking.ID, Start: start, ByCustomer: true,
		})
	}
	var status *booking.StatusError
	var invalid *booking.ValidationError
	var rate *payments.RateLimitError
	switch {
	case err == nil:
		http.Redirect(w, r, p.path("/success", f.booking)+"&did=moved", http.StatusSeeOther)
	case errors.As(err, &status), errors.Is(err, booking.ErrHoldExpired):
		// The page shows the status.
		http.Redirect(w, r, p.path("/success", f.booking), http.StatusSeeOther)
	case errors.Is(err, booking.ErrSlotTaken):
		again.Message = f.T("This time has just been booked. Please choose another.") + " " +
			f.T("Your booking has not changed.")
		p.renderMove(w, r, http.StatusConflict, f, again)
	case errors.Is(err, booking.ErrPolicy):
		again.Message = f.T("It is too late: this booking can no longer be moved.")
		p.renderMove(w, r, http.StatusConflict, f, again)
	case errors.As(err, &rate):
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		again.Message = tooFast(f.Locale, rate) + " " + f.T("Your booking has not changed.")
		p.renderMove(w, r, http.StatusTooManyRequests, f, again)
	case errors.As(err, &invalid):
		again.Problem = f.Problem(invalid.Fields["start"])
		if again.Problem == "" {
			again.Message = f.T("What you have booked is no longer offered. Please contact us to move it.")
		}
		p.renderMove(w, r, http.StatusBadRequest, f, again)
	default:
		p.lookupError(w, r, err)
	}
}

func (p *Pages) renderMove(w http.ResponseWriter, r *http.Request, status int, f details, v moveView) {
	b := f.booking
	v.page = p.page(f.Locale, f.T("Move this booking"))
	v.Wide = true
	v.What, v.When, v.Party, v.ID, v.Token = f.what(), f.when(), b.Party, b.ID, b.OwnerToken
	v.Back = p.path("/success", b)
	if b.Amount.Minor > 0 {
		v.Price = f.Money(b.Amount)
	}
	now := time.Now()
	if v.Movable = f.movable(b.Terms(now), now); v.Movable {
		if err := p.fillMoveWeek(r.Context(), &v, f, now); err != nil {
			p.serverError(w, r, err)
			return
		}
	}
	if !v.Movable && v.Message == "" {
		v.Message = f.T("This booking cannot be moved any more.")
	}
	p.render(w, status, "move.html", v)
}

// fillMoveWeek sets the week. A slot that overlaps the booking itself could be taken, but
// is not listed.
func (p *Pages) fillMoveWeek(ctx context.Context, v *moveView, f details, now time.Time) error {
	today, last := bounds(f.resource, f.zone, now)
	first := firstDay(v.From, today, last)
	v.From = first.String()
	from, to := span(first, f.zone)
	free, err := p.deps.Bookings.Availability(ctx, booking.AvailabilityRequest{
		Resources: []string{f.resource.ID}, Offer: f.booking.Offer, From: from, To: to, Party: f.booking.Party,
	})
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		// The offer is no longer active.
		v.Movable = false
		return nil
	}
	if err != nil {
		return err
	}
	link := func(day booking.Date) string {
		return p.path("/booking/move", f.booking) + "&" + url.Values{"from": {day.String()}}.Encode()
	}
	v.Week = newWeek(f.Locale, free[0].Slots, f.zone, first, today, last, f.resource.Capacity, v.chosen, link)
	return p.nextAvailable(ctx, f.Locale, &v.Week, booking.NextSlotRequest{Resource: f.resource.ID,
		Offer: f.booking.Offer, Party: f.booking.Party, After: to}, f.zone, link)
}
