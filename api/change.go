package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
)

// customer is the actor of customers.
const customer = "customer"

// access is a booking, and whether its owner or staff ask for it.
type access struct {
	booking booking.Booking
	byOwner bool
}

// requireOwnerOr lets the owner token through, and sends a request without a token
// through guard. A wrong token is answered as a booking that does not exist, so that no
// answer tells which ids exist. The request's context has the actor.
func (a *API) requireOwnerOr(guard func(http.Handler) http.Handler,
	h func(http.ResponseWriter, *http.Request, access)) http.Handler {
	pass := func(w http.ResponseWriter, r *http.Request, actor string, b booking.Booking, err error) {
		if errors.Is(err, booking.ErrNotFound) {
			err = errNotFound
		}
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		h(w, r.WithContext(booking.WithActor(r.Context(), actor)), access{booking: b, byOwner: actor == customer})
	}
	guarded := guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := a.opts.User(r.Context())
		b, err := a.deps.Bookings.Get(r.Context(), r.PathValue("id"))
		pass(w, r, "user:"+user.Email, b, err)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ownerToken(r)
		if token == "" {
			guarded.ServeHTTP(w, r)
			return
		}
		b, err := a.deps.Bookings.Owned(r.Context(), r.PathValue("id"), token)
		pass(w, r, customer, b, err)
	})
}

func ownerToken(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return r.URL.Query().Get("token")
}

// maySeeSessions is for customers, and staff who may renew a link: the id of a Checkout
// Session opens the booking's page with its owner's link, which READONLY must not get.
func (a *API) maySeeSessions(ctx context.Context) bool {
	user, staff := a.opts.User(ctx)
	return !staff || user.Role == roleAdmin || user.Role == roleOps
}

// The owner cancels under the policy, staff without fee. The refund follows in the
// background. The body is optional.
func (a *API) cancel(w http.ResponseWriter, r *http.Request, of access) {
	b, err := readOptionalBody(w, r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	req := booking.CancelRequest{ID: of.booking.ID, ByCustomer: of.byOwner, Reason: b.text("reason")}
	b.end()
	if len(b.problems) > 0 {
		a.writeError(w, r, b.withProblems(req.Validate()))
		return
	}
	cancelled, err := a.deps.Payments.Cancel(r.Context(), req)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	a.writeBooking(w, r, cancelled)
}

type rescheduledView struct {
	Booking
	// Difference is the price of the new time less the booking's amount, which does not
	// change. It is not charged.
	Difference int64 `json:"difference"`
}

// The owner moves under the policy, staff always. The new slot is taken and the old one
// freed together.
func (a *API) reschedule(w http.ResponseWriter, r *http.Request, of access) {
	b, err := readBody(w, r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	target := booking.HoldRequest{Resource: of.booking.ResourceID}
	if err := a.readStart(r.Context(), b, &target); err != nil {
		a.writeError(w, r, err)
		return
	}
	req := booking.RescheduleRequest{ID: of.booking.ID, Start: target.Start, ByCustomer: of.byOwner,
		Reason: b.text("reason")}
	b.end()
	if len(b.problems) > 0 {
		a.writeError(w, r, b.withProblems(req.Validate()))
		return
	}
	if req.ByCustomer {
		if err := a.opts.AdmitMove(r.Context()); err != nil {
			a.writeError(w, r, err)
			return
		}
	}
	moved, err := a.deps.Bookings.Reschedule(r.Context(), req)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	v, err := a.detail(r.Context(), moved.Booking)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, rescheduledView{v, moved.Difference.Minor})
}

type linkView struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// renewLink ends all earlier links.
func (a *API) renewLink(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	token, err := a.deps.Bookings.RenewOwnerToken(r.Context(), id)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, linkView{URL: a.deps.Payments.BookingURL(id, token), Token: token})
}
