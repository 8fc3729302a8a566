package api

import (
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// created is the answer to a booking.
type created struct {
	ID string `json:"id"`
	// URL is where the customer pays; the booking's own page when there is nothing to
	// pay.
	URL             string         `json:"url"`
	StripeSessionID string         `json:"stripeSessionId"`
	Status          booking.Status `json:"status"`
	ExpiresAt       time.Time      `json:"expiresAt"`
	// Token proves, to GET /api/bookings/{id} to its cancel and its reschedule, that the
	// booking is the customer's.
	Token string `json:"token"`
}

// create holds a slot and answers where to pay for it. The price is the resource's;
// nothing in the body reaches it.
func (a *API) create(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wish, b, err := a.readWish(w, r)
		if err == nil && len(b.problems) > 0 {
			err = b.together(a.opts.Bookings.Check(r.Context(), wish))
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		booked, err := a.opts.Payments.Book(booking.WithActor(r.Context(), customer), wish)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		writeJSON(w, status, created{
			ID:              booked.Booking.ID,
			URL:             booked.URL,
			StripeSessionID: booked.SessionID,
			Status:          booked.Booking.Status,
			ExpiresAt:       booked.Booking.HoldExpiresAt,
			Token:           booked.Booking.OwnerToken,
		})
	})
}
