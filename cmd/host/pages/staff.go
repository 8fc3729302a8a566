package pages

import (
	"errors"
	"net/http"
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
	switch {
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

// latest is how many bookings and events the dashboard shows.
const latest = 50

// dashboardView is the operators' page.
type dashboardView struct {
	page
	User     auth.User
	Bookings []bookingRow
	Events   []eventRow
}

type bookingRow struct {
	When, What, Name, Email, Amount string
	Party, More                     int
	Status                          booking.Status
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
	bookings, err := p.opts.Bookings.List(ctx, booking.ListOptions{Limit: latest})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	resources := map[string]booking.Resource{}
	for _, b := range bookings {
		res, known := resources[b.ResourceID]
		if !known {
			if res, err = p.opts.Bookings.Resource(ctx, b.ResourceID); err != nil {
				p.fail(w, r, err)
				return
			}
			resources[b.ResourceID] = res
		}
		zone, err := time.LoadLocation(res.TimeZone)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		v.Bookings = append(v.Bookings, bookingRow{
			When: b.Start.In(zone).Format("Mon 2 Jan 2006, 15:04 MST"), What: res.Name, Name: b.Customer.FirstName + " " + b.Customer.LastName,
			Email: b.Customer.Email, Amount: amount(b.Amount), Party: b.Party, More: b.Party - 1, Status: b.Status,
		})
	}
	events, err := webhook.List(ctx, p.opts.DB, webhook.ListOptions{Limit: latest})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	for _, e := range events {
		v.Events = append(v.Events, eventRow{Received: e.ReceivedAt.UTC().Format(time.DateTime), Type: e.Type, ID: e.ID, Outcome: e.Outcome})
	}
	p.render(w, http.StatusOK, "dashboard.html", v)
}
