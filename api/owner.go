package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
)

// customer is the actor of whoever has no account with us.
const customer = "customer"

// asked is a booking, and who asks for it: its owner, or else staff.
type asked struct {
	booking booking.Booking
	byOwner bool
}

// ownerOr lets the owner of a booking through, who shows the token of the link they were
// given, and sends everybody else through the guard. A wrong token is a booking that does
// not exist, whoever shows it: no answer tells which ids there are. The history of what
// is done names who did it.
func (a *API) ownerOr(guard func(http.Handler) http.Handler,
	h func(http.ResponseWriter, *http.Request, asked)) http.Handler {
	pass := func(w http.ResponseWriter, r *http.Request, actor string, b booking.Booking, err error) {
		if errors.Is(err, booking.ErrNotFound) {
			err = errNotFound
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		h(w, r.WithContext(booking.WithActor(r.Context(), actor)), asked{booking: b, byOwner: actor == customer})
	}
	guarded := guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := auth.UserFrom(r.Context())
		b, err := a.opts.Bookings.Get(r.Context(), mux.Vars(r)["id"])
		pass(w, r, "user:"+user.Email, b, err)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ownerToken(r)
		if token == "" {
			guarded.ServeHTTP(w, r)
			return
		}
		b, err := a.opts.Bookings.Owned(r.Context(), mux.Vars(r)["id"], token)
		pass(w, r, customer, b, err)
	})
}

// ownerToken reads the token from the header Authorization: Bearer, or from the query.
func ownerToken(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return r.URL.Query().Get("token")
}
