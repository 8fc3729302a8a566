package pages

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// loginView is the page that logs in.
type loginView struct {
	page
	Email, Next, Message string
	Problems             map[string]string
}

func (p *Pages) login(w http.ResponseWriter, r *http.Request) {
	p.showLogin(w, http.StatusOK, loginView{Next: r.URL.Query().Get("next")})
}

func (p *Pages) showLogin(w http.ResponseWriter, status int, v loginView) {
	v.page = p.page("Log in")
	v.Staff = true
	v.Next = nextPage(v.Next)
	p.render(w, status, "login.html", v)
}

// nextPage is where a login leads: a place within this service, else the dashboard.
func nextPage(next string) string {
	if next = auth.SafeNext(next); next == "/" {
		return "/dashboard"
	}
	return next
}

func (p *Pages) takeLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	if err := r.ParseForm(); err != nil {
		p.showLogin(w, http.StatusBadRequest, loginView{Message: "That could not be read."})
		return
	}
	again := loginView{Email: r.PostForm.Get("email"), Next: r.PostForm.Get("next")}
	_, err := p.opts.Auth.Login(r.Context(), w, r, again.Email, r.PostForm.Get("password"))
	var invalid *auth.ValidationError
	var limited *auth.LimitError
	switch {
	case errors.As(err, &limited):
		seconds := int(limited.RetryAfter / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		again.Message = fmt.Sprintf("There were too many attempts to log in. Please try again in %d seconds.", seconds)
		if seconds == 1 {
			again.Message = "There were too many attempts to log in. Please try again in a second."
		}
		p.showLogin(w, http.StatusTooManyRequests, again)
	case errors.As(err, &invalid):
		again.Problems = invalid.Fields
		p.showLogin(w, http.StatusBadRequest, again)
	case errors.Is(err, auth.ErrCredentials):
		again.Message = "E-mail and password do not match."
		p.showLogin(w, http.StatusUnauthorized, again)
	case err != nil:
		p.fail(w, r, err)
	default:
		http.Redirect(w, r, nextPage(again.Next), http.StatusSeeOther)
	}
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if err := p.opts.Auth.End(r.Context(), w, r); err != nil {
		p.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// latest is how many events the dashboard shows.
const latest = 50

// dashboardView is the operators' page.
type dashboardView struct {
	page
	User     auth.User
	Filter   listFilter
	Bookings []bookingRow
	// Next leads to the next page of bookings; empty on the last.
	Next   string
	Events []eventRow
}

type eventRow struct {
	Received, Type, ID string
	Outcome            webhook.Outcome
}

func (p *Pages) dashboard(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	v := dashboardView{page: p.page("Dashboard")}
	v.Staff, v.Wide = true, true
	v.User, _ = auth.UserFrom(ctx)
	err := p.listBookings(ctx, &v, r.URL.Query())
	var invalid *booking.ValidationError
	status := http.StatusOK
	if errors.As(err, &invalid) {
		v.Filter.Problems, status = invalid.Fields, http.StatusBadRequest
	} else if err != nil {
		p.fail(w, r, err)
		return
	}
	events, err := p.opts.Receiver.Ledger().List(ctx, webhook.ListOptions{Limit: latest})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	for _, e := range events {
		v.Events = append(v.Events, eventRow{Received: e.ReceivedAt.UTC().Format(time.DateTime), Type: e.Type, ID: e.ID,
			Outcome: e.Outcome})
	}
	p.render(w, status, "dashboard.html", v)
}
