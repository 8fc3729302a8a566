package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// zones caches time zones for one answer.
type zones map[string]*time.Location

func (a *API) zone(ctx context.Context, cached zones, resource string) (*time.Location, error) {
	if z, ok := cached[resource]; ok {
		return z, nil
	}
	res, err := a.deps.Bookings.Resource(ctx, resource)
	if err != nil {
		return nil, err
	}
	z, err := res.Zone()
	cached[resource] = z
	return z, err
}

func (a *API) view(ctx context.Context, cached zones, b booking.Booking) (Booking, error) {
	zone, err := a.zone(ctx, cached, b.ResourceID)
	if err != nil {
		return Booking{}, err
	}
	return BookingOf(b, zone), nil
}

// get is for the owner or staff.
func (a *API) get(w http.ResponseWriter, r *http.Request, of access) {
	a.writeBooking(w, r, of.booking)
}

func (a *API) writeBooking(w http.ResponseWriter, r *http.Request, b booking.Booking) {
	v, err := a.detail(r.Context(), b)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// detail has the payment and the terms of a cancellation.
func (a *API) detail(ctx context.Context, b booking.Booking) (Booking, error) {
	zone, err := a.zone(ctx, zones{}, b.ResourceID)
	if err != nil {
		return Booking{}, err
	}
	p, err := a.deps.Payments.ForBooking(ctx, b.ID)
	if err != nil && !errors.Is(err, payments.ErrNotFound) {
		return Booking{}, err
	}
	v := BookingDetail(b, p, zone, time.Now())
	if v.Payment != nil && !a.maySeeSessions(ctx) {
		v.Payment.StripeSessionID = ""
	}
	return v, nil
}
