package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/booking/calendar"
)

// domain ends the UIDs of events. Where the public address changes, calendars take the
// same bookings for others.
func (a *API) domain() (string, error) {
	u, err := url.Parse(a.opts.AppURL)
	if err != nil {
		return "", err
	}
	return u.Hostname(), nil
}

// calendarFile answers one booking as a calendar file. It has no link to the booking's
// page: that would carry the token, which cancels, to all the file is forwarded to. What
// has no file is not found.
func (a *API) calendarFile(w http.ResponseWriter, r *http.Request, of asked) {
	b := of.booking
	resource, err := a.opts.Bookings.Resource(r.Context(), b.ResourceID)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	zone, err := resource.Zone()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	domain, err := a.domain()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	file, err := calendar.File(domain, resource, b, calendar.FileOptions{})
	var none *calendar.NoFileError
	if errors.As(err, &none) {
		err = errNotFound
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	// A slug is safe in a file's name.
	name := resource.Slug + "-" + b.Start.In(zone).Format(time.DateOnly) + ".ics"
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	serveCalendar(w, r, file)
}

// calendarFeed answers a resource's bookings to who has the token of a private feed.
// Programs come again and again: as long as nothing has changed, they are told so by the
// tag of what they have.
func (a *API) calendarFeed(w http.ResponseWriter, r *http.Request) {
	feed, err := a.opts.Bookings.Feed(r.Context(), mux.Vars(r)["token"])
	if err != nil {
		a.fail(w, r, err)
		return
	}
	domain, err := a.domain()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	file, err := calendar.Feed(domain, feed.Resource, feed.Bookings, calendar.FeedOptions{})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	sum := sha256.Sum256(file)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	w.Header().Set("Cache-Control", "private, no-cache")
	serveCalendar(w, r, file)
}

// serveCalendar answers If-None-Match, HEAD and ranges as well.
func serveCalendar(w http.ResponseWriter, r *http.Request, file []byte) {
	w.Header().Set("Content-Type", calendar.ContentType)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
}

type feedView struct {
	// URL is the feed's address, which nobody can tell again.
	URL string `json:"url"`
}

// createFeed opens a private feed of a resource.
func (a *API) createFeed(w http.ResponseWriter, r *http.Request) {
	token, err := a.opts.Bookings.CreateFeed(r.Context(), mux.Vars(r)["resource"])
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, feedView{URL: a.opts.AppURL + "/calendar/" + token + ".ics"})
}

type deletedView struct {
	Deleted int `json:"deleted"`
}

// deleteFeeds takes back the addresses of all private feeds of a resource.
func (a *API) deleteFeeds(w http.ResponseWriter, r *http.Request) {
	n, err := a.opts.Bookings.DeleteFeeds(r.Context(), mux.Vars(r)["resource"])
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, deletedView{Deleted: n})
}
