package pages

import (
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// cancelView asks whether a booking is really to be cancelled.
type cancelView struct {
	page
	What, When, Terms, Message string
	ID, Token                  string
	// Allowed puts the button there; Back is the booking's page.
	Allowed bool
	Back    string
}

// askCancel shows what cancelling gives, and the button that does it. A link alone
// cancels nothing: programs follow links too.
func (p *Pages) askCancel(w http.ResponseWriter, r *http.Request) {
	f, err := p.owned(r.Context(), r.URL.Query())
	if err != nil {
		p.failFinding(w, r, err)
		return
	}
	p.showCancel(w, http.StatusOK, f, "")
}

func (p *Pages) showCancel(w http.ResponseWriter, status int, f found, message string) {
	terms := f.terms(time.Now())
	v := cancelView{
		page: p.page("Cancel this booking?"), What: f.what(), When: when(f.booking, f.zone), Terms: f.words(terms),
		Message: message,
		ID:      f.booking.ID, Token: f.booking.OwnerToken, Allowed: terms.Allowed,
		Back: pagePath(f.booking.ID, f.booking.OwnerToken),
	}
	if !v.Allowed && message == "" {
		v.Title = "This booking cannot be cancelled here"
	}
	p.render(w, status, "cancel.html", v)
}

// takeCancel does what POST /api/bookings/{id}/cancel does for its owner.
func (p *Pages) takeCancel(w http.ResponseWriter, r *http.Request) {
	f, ok := p.ownedForm(w, r)
	if !ok {
		return
	}
	_, err := p.opts.Payments.Cancel(booking.WithActor(r.Context(), customer),
		booking.CancelRequest{ID: f.booking.ID, ByCustomer: true})
	var settled *booking.StatusError
	switch {
	case err == nil, errors.As(err, &settled):
		// Its page tells what it is.
		http.Redirect(w, r, pagePath(f.booking.ID, f.booking.OwnerToken), http.StatusSeeOther)
	case errors.Is(err, booking.ErrPolicy):
		p.showCancel(w, http.StatusConflict, f, "It is too late: this booking can no longer be cancelled.")
	default:
		p.failFinding(w, r, err)
	}
}
