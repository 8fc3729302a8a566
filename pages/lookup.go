package pages

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/locale"
	"github.com/booking-platform/booking-platform/payments"
)

// customer is the actor of customers.
const customer = "customer"

// details is a booking with what its pages show. The booking has its owner token, or ""
// if the token's secret is gone. The language is the browser's, or else the booking's.
type details struct {
	locale.Locale
	booking  booking.Booking
	payment  *payments.Payment // nil if there is none.
	resource booking.Resource
	zone     *time.Location
}

// lookup reads the booking of a Checkout Session, whose id only its customer has, or of a
// link with an owner token.
func (p *Pages) lookup(r *http.Request) (details, error) {
	query := r.URL.Query()
	session := query.Get("session_id")
	if session == "" {
		return p.lookupOwned(r, query)
	}
	pay, err := p.refresh(r.Context(), session)
	if err != nil {
		return details{}, err
	}
	b, err := p.deps.Bookings.WithOwnerToken(r.Context(), pay.BookingID)
	if err != nil {
		return details{}, err
	}
	if !pay.Applied() {
		return p.loadDetails(r, b)
	}
	// At most one payment of a booking is applied, and no other counts.
	f, err := p.withResource(r, b)
	f.payment = &pay
	return f, err
}

// refreshTimeout bounds how long a customer waits for Stripe.
const refreshTimeout = 2 * time.Second

// refresh reads the payment of a Checkout Session, from Stripe if the webhook may be
// late. If Stripe does not answer in time, it returns what is known.
func (p *Pages) refresh(ctx context.Context, session string) (payments.Payment, error) {
	limited, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	pay, err := p.deps.Payments.RefreshSession(limited, session)
	if err == nil || errors.Is(err, payments.ErrNotFound) {
		return pay, err
	}
	p.log(ctx, slog.LevelWarn, "refresh of a Checkout Session failed", err)
	return p.deps.Payments.BySession(ctx, session)
}

// lookupOwned reads the booking whose id and token are in a query or form.
func (p *Pages) lookupOwned(r *http.Request, values url.Values) (details, error) {
	b, err := p.deps.Bookings.Owned(r.Context(), values.Get("booking"), values.Get("token"))
	if err != nil {
		return details{}, err
	}
	b.OwnerToken = values.Get("token")
	return p.loadDetails(r, b)
}

// lookupForm reads the form and the booking that it names. If it returns false it has
// answered the request.
func (p *Pages) lookupForm(w http.ResponseWriter, r *http.Request) (details, bool) {
	if !p.parse(w, r) {
		return details{}, false
	}
	f, err := p.lookupOwned(r, r.PostForm)
	if err != nil {
		p.lookupError(w, r, err)
		return details{}, false
	}
	return f, true
}

func (p *Pages) loadDetails(r *http.Request, b booking.Booking) (details, error) {
	f, err := p.withResource(r, b)
	if err != nil {
		return details{}, err
	}
	pay, err := p.deps.Payments.ForBooking(r.Context(), b.ID)
	switch {
	case errors.Is(err, payments.ErrNotFound):
		return f, nil
	case err != nil:
		return details{}, err
	}
	f.payment = &pay
	return f, nil
}

func (p *Pages) withResource(r *http.Request, b booking.Booking) (f details, err error) {
	f.booking = b
	f.Locale = locale.Of(cmp.Or(locale.Match(r.Header.Get("Accept-Language")), b.Language))
	if f.resource, err = p.deps.Bookings.Resource(r.Context(), b.ResourceID); err != nil {
		return details{}, err
	}
	f.zone, err = f.resource.Zone()
	return f, err
}

// lookupError answers an error of lookup and of the operations on a booking.
func (p *Pages) lookupError(w http.ResponseWriter, r *http.Request, err error) {
	if isNotFound(err) {
		p.notFound(w, r)
		return
	}
	p.serverError(w, r, err)
}

func isNotFound(err error) bool {
	return errors.Is(err, booking.ErrNotFound) || errors.Is(err, payments.ErrNotFound)
}

// notResumable reports whether an error of payments.Resume means that there is nothing to
// pay for any more.
func notResumable(err error) bool {
	return errors.Is(err, booking.ErrHoldExpired) || errors.Is(err, payments.ErrNotPayable)
}

func (f details) what() string {
	for _, o := range f.resource.Offers {
		if o.Slug == f.booking.Offer {
			return f.resource.Name + ", " + o.Name
		}
	}
	return f.resource.Name
}

// path returns the path of a page of a booking.
func (p *Pages) path(page string, b booking.Booking) string {
	return p.prefix + page + "?" + url.Values{"booking": {b.ID}, "token": {b.OwnerToken}}.Encode()
}
