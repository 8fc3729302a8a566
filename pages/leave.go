package pages

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// leaveView is the page of a customer who has left Stripe's page without having paid.
type leaveView struct {
	page
	What, When, Number, Due string
	Party                   int
	Until, Terms            string
	ID, Token               string
	// Pay is Stripe's page, Other the resource's page, and Booking that of the booking.
	Pay, Other, Booking string
}

// showLeave is where Stripe's page sends those who go back. It changes nothing: mail
// scanners and browsers that load pages ahead follow links.
func (p *Pages) showLeave(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if !query.Has("token") && !strings.HasPrefix(query.Get("session_id"), "cs_") {
		p.abandoned(w, r)
		return
	}
	f, err := p.lookup(r)
	if err != nil {
		p.lookupError(w, r, err)
		return
	}
	checkout, left, err := p.deps.Payments.Resume(r.Context(), f.booking.ID)
	if notResumable(err) {
		// The page shows the status.
		http.Redirect(w, r, p.path("/success", f.booking), http.StatusSeeOther)
		return
	}
	if err != nil {
		p.lookupError(w, r, err)
		return
	}
	b := f.booking
	v := leaveView{
		page: p.page(f.Locale, f.T("You have not paid yet")), What: f.what(), When: f.when(), Number: number(b),
		Due: f.Money(b.Amount), Party: b.Party, Until: f.reservedFor(left) + f.movedNote(),
		Terms: f.Locale.Terms(b, f.zone, time.Now()), ID: b.ID, Token: b.OwnerToken, Pay: checkout.URL,
		Other: p.prefix + weekQuery{resource: f.resource.Slug, offer: b.Offer, party: b.Party,
			from: booking.DateOf(b.Start.In(f.zone)), own: ownLink(b)}.link(),
		Booking: p.path("/success", b),
	}
	p.render(w, http.StatusOK, "leave.html", v)
}

// reservedFor says until when a hold lasts, from how long it still does by the database's
// clock.
func (f details) reservedFor(left time.Duration) string {
	minutes := int(left / time.Minute)
	until := f.T("This time is reserved for you until %s.", f.booking.HoldExpiresAt.In(f.zone).Format("15:04"))
	if minutes < 1 {
		return until + " " + f.T("That is in less than a minute.")
	}
	return until + " " + f.N(minutes, "That is in %d minute.", "That is in %d minutes.")
}

// movedNote is said of a hold that was moved: Stripe's page keeps the texts that it was
// made with.
func (f details) movedNote() string {
	if f.booking.Sequence == 0 {
		return ""
	}
	return " " + f.T("You have moved this booking. The payment page may still show the time before.")
}

// postLeave gives the hold up.
func (p *Pages) postLeave(w http.ResponseWriter, r *http.Request) {
	f, ok := p.lookupForm(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(booking.WithActor(r.Context(), customer), leaveTimeout)
	defer cancel()
	_, err := p.deps.Payments.GiveUp(ctx, f.booking.ID)
	var status *booking.StatusError
	if err != nil && !errors.As(err, &status) && !errors.Is(err, payments.ErrNotPayable) {
		p.lookupError(w, r, err)
		return
	}
	// The page shows the status: paid in another window, perhaps.
	http.Redirect(w, r, p.path("/success", f.booking), http.StatusSeeOther)
}

// leaveTimeout bounds how long a customer waits for Stripe to expire the session.
const leaveTimeout = 5 * time.Second

// abandoned is the page of sessions that were made before their address had their id, or
// in whose address Stripe has not replaced the placeholder.
func (p *Pages) abandoned(w http.ResponseWriter, r *http.Request) {
	l := languageOf(r)
	p.render(w, http.StatusOK, "message.html", messageView{
		page: p.page(l, l.T("You left before paying")),
		Text: l.T("Nothing was charged. Your time is kept for a little while: " +
			"go back in your browser to pay for it after all, or book again."),
		Back: p.prefix + "/",
	})
}

// ownLink is the query that lets the resource's page show a hold as the visitor's own.
func ownLink(b booking.Booking) url.Values {
	return url.Values{"booking": {b.ID}, "token": {b.OwnerToken}}
}
