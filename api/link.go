package api

import (
	"net/http"

	"github.com/gorilla/mux"
)

// linkView is where a customer finds their booking.
type linkView struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// renewLink makes another link to a booking, and every earlier one dead: for a customer
// who has lost theirs, or shown it to somebody.
func (a *API) renewLink(w http.ResponseWriter, r *http.Request) {
	id := mux.Vars(r)["id"]
	token, err := a.opts.Bookings.RenewOwnerToken(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, linkView{URL: a.opts.Payments.BookingURL(id, token), Token: token})
}
