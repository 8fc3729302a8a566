package pages

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// customer is the actor of whoever comes to these pages.
const customer = "customer"

// found is a booking with what its pages tell. The booking has its owner token, or ""
// where nobody can tell it any more.
type found struct {
	booking booking.Booking
	// payment is nil where there is none.
	payment  *payments.Payment
	resource booking.Resource
	zone     *time.Location
}

// find reads the booking of a Checkout Session, whose id only its customer has, or the
// one that a link with its token names.
func (p *Pages) find(r *http.Request) (found, error) {
	query := r.URL.Query()
	session := query.Get("session_id")
	if session == "" {
		return p.owned(r.Context(), query)
	}
	pay, err := p.refresh(r.Context(), session)
	if err != nil {
		return found{}, err
	}
	b, err := p.opts.Bookings.WithOwnerToken(r.Context(), pay.BookingID)
	if err != nil {
		return found{}, err
	}
	if !pay.Applied() {
		return p.around(r.Context(), b)
	}
	// Of a booking's payments only the applied one counts, and one at most is applied.
	f, err := p.withResource(r.Context(), b)
	f.payment = &pay
	return f, err
}

// refreshTimeout bounds how long a customer waits for Stripe.
const refreshTimeout = 2 * time.Second

// refresh reads the payment of a Checkout Session, and asks Stripe about it where its
// webhook may be late. When Stripe does not answer in time the webhook will tell later.
func (p *Pages) refresh(ctx context.Context, session string) (payments.Payment, error) {
	limited, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	pay, err := p.opts.Payments.RefreshSession(limited, session)
	if err == nil || errors.Is(err, payments.ErrNotFound) {
		return pay, err
	}
	p.log(ctx, slog.LevelWarn, "could not ask Stripe for a customer who came back", err)
	return p.opts.Payments.BySession(ctx, session)
}

// owned reads the booking whose id and token are in a query, or in a form.
func (p *Pages) owned(ctx context.Context, values url.Values) (found, error) {
	b, err := p.opts.Bookings.Owned(ctx, values.Get("booking"), values.Get("token"))
	if err != nil {
		return found{}, err
	}
	b.OwnerToken = values.Get("token")
	return p.around(ctx, b)
}

// ownedForm reads a form with a booking and its token; false when the answer has been
// given.
func (p *Pages) ownedForm(w http.ResponseWriter, r *http.Request) (found, bool) {
	if !p.parse(w, r) {
		return found{}, false
	}
	f, err := p.owned(r.Context(), r.PostForm)
	if err != nil {
		p.failFinding(w, r, err)
		return found{}, false
	}
	return f, true
}

// around reads what belongs to a booking.
func (p *Pages) around(ctx context.Context, b booking.Booking) (found, error) {
	f, err := p.withResource(ctx, b)
	if err != nil {
		return found{}, err
	}
	pay, err := p.opts.Payments.ForBooking(ctx, b.ID)
	switch {
	case errors.Is(err, payments.ErrNotFound):
		return f, nil
	case err != nil:
		return found{}, err
	}
	f.payment = &pay
	return f, nil
}

// withResource reads the resource of a booking.
func (p *Pages) withResource(ctx context.Context, b booking.Booking) (f found, err error) {
	f.booking = b
	if f.resource, err = p.opts.Bookings.Resource(ctx, b.ResourceID); err != nil {
		return found{}, err
	}
	f.zone, err = f.resource.Zone()
	return f, err
}

// failFinding is the page where there is no booking to show.
func (p *Pages) failFinding(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, booking.ErrNotFound) || errors.Is(err, payments.ErrNotFound) {
		p.notFound(w)
		return
	}
	p.fail(w, r, err)
}

// what names what was booked.
func (f found) what() string {
	for _, o := range f.resource.Offers {
		if o.Slug == f.booking.Offer {
			return f.resource.Name + ", " + o.Name
		}
	}
	return f.resource.Name
}

// path is the address of one of the booking's pages, for links and redirects.
func (f found) path(page string) string {
	return page + "?" + url.Values{"booking": {f.booking.ID}, "token": {f.booking.OwnerToken}}.Encode()
}

// pagePath is the path of a booking's page with its owner token, for redirects.
func pagePath(bookingID, token string) string {
	return "/success?" + url.Values{"booking": {bookingID}, "token": {token}}.Encode()
}
