package pages

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// linksView asks for the address to which the links of its bookings are sent.
type linksView struct {
	page
	Email, Problem, Message string
	// Sent replaces the form.
	Sent bool
}

func (p *Pages) showLinks(w http.ResponseWriter, r *http.Request) {
	p.renderLinks(w, r, http.StatusOK, linksView{})
}

func (p *Pages) renderLinks(w http.ResponseWriter, r *http.Request, status int, v linksView) {
	l := languageOf(r)
	v.page = p.page(l, l.T("Find your bookings"))
	p.render(w, status, "links.html", v)
}

// postLinks answers every address alike, whether it has bookings or not.
func (p *Pages) postLinks(w http.ResponseWriter, r *http.Request) {
	if !p.parse(w, r) {
		return
	}
	l := languageOf(r)
	again := linksView{Email: strings.TrimSpace(r.PostForm.Get("email"))}
	req := booking.HoldRequest{Customer: booking.Customer{Email: again.Email}}
	var invalid *booking.ValidationError
	if errors.As(req.Validate(), &invalid) && invalid.Fields["email"] != "" {
		again.Problem = l.Problem(invalid.Fields["email"])
		p.renderLinks(w, r, http.StatusBadRequest, again)
		return
	}
	err := p.opts.AdmitLinks(r.Context(), again.Email)
	if err == nil {
		err = p.opts.SendLinks(r.Context(), again.Email)
	}
	var rate *payments.RateLimitError
	switch {
	case errors.As(err, &rate):
		w.Header().Set("Retry-After", strconv.Itoa(rate.Seconds()))
		again.Message = l.T("There were too many requests.") + " " +
			l.N((rate.Seconds()+59)/60, "Please try again in %d minute.", "Please try again in %d minutes.")
		p.renderLinks(w, r, http.StatusTooManyRequests, again)
	case err != nil:
		p.serverError(w, r, err)
	default:
		again.Sent = true
		p.renderLinks(w, r, http.StatusOK, again)
	}
}
