package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking/calendar"
)

// calendarFile has no link to the booking's page: the token in it allows cancelling, and
// files are forwarded. A booking without a file, such as a hold, is not found.
func (a *API) calendarFile(w http.ResponseWriter, r *http.Request, of access) {
	b := of.booking
	resource, err := a.deps.Bookings.Resource(r.Context(), b.ResourceID)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	zone, err := resource.Zone()
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	file, err := calendar.File(a.domain, resource, b, calendar.FileOptions{})
	var none *calendar.NoFileError
	if errors.As(err, &none) {
		err = errNotFound
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	// A slug is safe in a file name.
	name := resource.Slug + "-" + b.Start.In(zone).Format(time.DateOnly) + ".ics"
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	serveCalendar(w, r, file)
}

// CalendarPath returns the path of a booking's calendar file, with its owner token.
func (a *API) CalendarPath(bookingID, ownerToken string) string {
	return a.prefix + "/api/bookings/" + bookingID + "/calendar.ics?" + url.Values{"token": {ownerToken}}.Encode()
}

// Calendar programs poll a feed, so it has an ETag.
func (a *API) calendarFeed(w http.ResponseWriter, r *http.Request) {
	feed, err := a.deps.Bookings.Feed(r.Context(), r.PathValue("token"))
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	file, err := calendar.Feed(a.domain, feed.Resource, feed.Bookings, calendar.FeedOptions{})
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	sum := sha256.Sum256(file)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	w.Header().Set("Cache-Control", "private, no-cache")
	serveCalendar(w, r, file)
}

func serveCalendar(w http.ResponseWriter, r *http.Request, file []byte) {
	w.Header().Set("Content-Type", calendar.ContentType)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(file))
}

type feedView struct {
	// URL is not stored and cannot be shown again.
	URL string `json:"url"`
}

func (a *API) createFeed(w http.ResponseWriter, r *http.Request) {
	token, err := a.deps.Bookings.CreateFeed(r.Context(), r.PathValue("resource"))
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, feedView{URL: a.opts.URL + "/calendar/" + token + ".ics"})
}

type deletedView struct {
	Deleted int `json:"deleted"`
}

func (a *API) deleteFeeds(w http.ResponseWriter, r *http.Request) {
	n, err := a.deps.Bookings.DeleteFeeds(r.Context(), r.PathValue("resource"))
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, deletedView{Deleted: n})
}
