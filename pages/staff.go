package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

type loginView struct {
	page
	Email, Next, Message string
	Problems             map[string]string
}

func (p *Pages) showLogin(w http.ResponseWriter, r *http.Request) {
	p.renderLogin(w, http.StatusOK, loginView{Next: r.URL.Query().Get("next")})
}

func (p *Pages) renderLogin(w http.ResponseWriter, status int, v loginView) {
	v.page = p.page(english, "Log in")
	v.Staff = true
	v.Next = p.nextPage(v.Next)
	p.render(w, status, "login.html", v)
}

// nextPage is where a login leads: a path of this server, or the dashboard.
func (p *Pages) nextPage(next string) string {
	if next = auth.SafeNext(next); next == "/" {
		return p.prefix + "/dashboard"
	}
	return next
}

func (p *Pages) postLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	if err := r.ParseForm(); err != nil {
		p.renderLogin(w, http.StatusBadRequest, loginView{Message: "The form could not be read. Please try again."})
		return
	}
	again := loginView{Email: r.PostForm.Get("email"), Next: r.PostForm.Get("next")}
	_, err := p.deps.Auth.Login(r.Context(), w, r, again.Email, r.PostForm.Get("password"))
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
		p.renderLogin(w, http.StatusTooManyRequests, again)
	case errors.As(err, &invalid):
		again.Problems = invalid.Fields
		p.renderLogin(w, http.StatusBadRequest, again)
	case errors.Is(err, auth.ErrCredentials):
		again.Message = "E-mail and password do not match."
		p.renderLogin(w, http.StatusUnauthorized, again)
	case err != nil:
		p.serverError(w, r, err)
	default:
		http.Redirect(w, r, p.nextPage(again.Next), http.StatusSeeOther)
	}
}

func (p *Pages) logout(w http.ResponseWriter, r *http.Request) {
	if err := p.deps.Auth.End(r.Context(), w, r); err != nil {
		p.serverError(w, r, err)
		return
	}
	http.Redirect(w, r, p.prefix+"/login", http.StatusSeeOther)
}

// latest is the number of events on the dashboard.
const latest = 50

type dashboardView struct {
	page
	User     auth.User
	Logout   bool // Shows the button.
	Filter   listFilter
	Bookings []bookingRow
	Next     string // The next page of bookings; empty on the last.
	Events   []eventRow
}

type eventRow struct {
	Received, Type, ID string
	Outcome            webhook.Outcome
}

func (p *Pages) dashboard(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	v := dashboardView{page: p.page(english, "Dashboard")}
	v.Staff, v.Wide = true, true
	v.User, _ = p.opts.User(ctx)
	v.Logout = p.deps.Auth != nil
	err := p.listBookings(ctx, &v, r.URL.Query())
	var invalid *booking.ValidationError
	status := http.StatusOK
	if errors.As(err, &invalid) {
		v.Filter.Problems, status = invalid.Fields, http.StatusBadRequest
	} else if err != nil {
		p.serverError(w, r, err)
		return
	}
	events, err := p.deps.Receiver.Ledger().List(ctx, webhook.ListOptions{Limit: latest})
	if err != nil {
		p.serverError(w, r, err)
		return
	}
	for _, e := range events {
		v.Events = append(v.Events, eventRow{Received: e.ReceivedAt.UTC().Format(time.DateTime), Type: e.Type, ID: e.ID,
			Outcome: e.Outcome})
	}
	p.render(w, status, "dashboard.html", v)
}

// listFilter is the form above the bookings.
type listFilter struct {
	From, Status, Resource, Customer, Number string

	Statuses []booking.Status
	// Resources are to choose from; none if there are many, whose slug is then typed.
	Resources []booking.Resource
	Problems  map[string]string
}

type bookingRow struct {
	When, What, Name, Email, Phone, Note, Amount, Number string

	Party, More int
	Kind        booking.Kind
	Status      booking.Status
}

// listBookings sets a page of bookings in the order of their start, by default from
// today.
func (p *Pages) listBookings(ctx context.Context, v *dashboardView, query url.Values) error {
	chosen, all, found, err := p.chosen(ctx, query.Get("resource"))
	if err != nil {
		return err
	}
	resources := all.Resources
	if found && query.Get("resource") != "" {
		resources = []booking.Resource{chosen}
	}
	zone, err := listZone(resources)
	if err != nil {
		return err
	}
	v.Filter = listFilter{
		From: query.Get("from"), Status: query.Get("status"), Resource: query.Get("resource"),
		Customer: query.Get("customer"), Number: query.Get("number"),
		Statuses: []booking.Status{booking.StatusPending, booking.StatusConfirmed, booking.StatusCancelled,
			booking.StatusCompleted,
			booking.StatusNoShow, booking.StatusExpired},
	}
	if all.Total <= mostChoices {
		v.Filter.Resources = all.Resources
	}
	switch {
	case v.Filter.Number != "":
		v.Filter.From = "" // A number is looked for at any time.
	case !query.Has("from"):
		v.Filter.From = time.Now().In(zone).Format(time.DateOnly)
	}
	opts := booking.ListOptions{Order: booking.ByStart, After: query.Get("after"), Resource: v.Filter.Resource,
		Customer: v.Filter.Customer, Number: v.Filter.Number}
	if v.Filter.Status != "" {
		opts.Statuses = []booking.Status{booking.Status(v.Filter.Status)}
	}
	if v.Filter.From != "" {
		day, err := booking.ParseDate(v.Filter.From)
		if opts.From, _ = day.At(0, zone); err != nil || opts.From.IsZero() {
			return &booking.ValidationError{Fields: map[string]string{"from": "must be a date such as 2026-12-01"}}
		}
	}
	listed, err := p.deps.Bookings.List(ctx, opts)
	if err != nil {
		return err
	}
	if listed.Next != "" {
		v.Next = p.prefix + "/dashboard?" + url.Values{
			"from": {v.Filter.From}, "status": {v.Filter.Status}, "resource": {v.Filter.Resource},
			"customer": {v.Filter.Customer}, "number": {v.Filter.Number}, "after": {listed.Next},
		}.Encode()
	}
	v.Bookings, err = p.bookingRows(ctx, listed.Bookings)
	return err
}

// listZone is the zone of the form's date: that of the resources, or UTC if they differ.
// Of many resources it looks at the first ones.
func listZone(resources []booking.Resource) (*time.Location, error) {
	name := ""
	for _, r := range resources {
		switch {
		case name == "":
			name = r.TimeZone
		case name != r.TimeZone:
			name = "UTC"
		}
	}
	if name == "" {
		return time.UTC, nil
	}
	return booking.LoadZone(name)
}

func (p *Pages) bookingRows(ctx context.Context, bookings []booking.Booking) (rows []bookingRow, err error) {
	resources := map[string]booking.Resource{}
	for _, b := range bookings {
		res, known := resources[b.ResourceID]
		if !known {
			if res, err = p.deps.Bookings.Resource(ctx, b.ResourceID); err != nil {
				return nil, err
			}
			resources[b.ResourceID] = res
		}
		zone, err := res.Zone()
		if err != nil {
			return nil, err
		}
		rows = append(rows, bookingRow{
			When: b.Start.In(zone).Format("Mon 2 Jan 2006, 15:04 MST"), What: res.Name,
			Name: b.Customer.Name(), Email: b.Customer.Email, Phone: b.Customer.Phone, Note: b.Note,
			Amount: english.Money(b.Amount), Number: number(b), Party: b.Party, More: b.Party - 1, Kind: b.Kind,
			Status: b.Status,
		})
	}
	return rows, nil
}
