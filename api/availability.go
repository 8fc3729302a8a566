package api

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/booking-platform/booking-platform/booking"
)

type slotView struct {
	Start     string `json:"start"`
	End       string `json:"end"`
	Remaining int    `json:"remaining"`
}

func viewSlot(s booking.Slot, zone *time.Location) slotView {
	return slotView{Start: local(s.Start, zone), End: local(s.End, zone), Remaining: s.Remaining}
}

// defaultDays is the span that is answered when the query does not say; booking bounds
// the longest one.
const defaultDays = 7

// availability lists the free slots that begin in a span of time, of the resource's own
// length or an offer's.
func (a *API) availability(w http.ResponseWriter, r *http.Request) {
	resource, zone, err := a.named(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	req, err := readSpan(r.URL.Query(), zone, time.Now())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	req.Resources = []string{resource.ID}
	found, err := a.opts.Bookings.Availability(r.Context(), req)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer := list[slotView]{Items: []slotView{}}
	for _, s := range found[0].Slots {
		answer.Items = append(answer.Items, viewSlot(s, zone))
	}
	writeJSON(w, http.StatusOK, answer)
}

// next answers the first free slot from an instant on.
func (a *API) next(w http.ResponseWriter, r *http.Request) {
	resource, zone, err := a.named(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	q := query{r.URL.Query(), map[string]string{}}
	req := booking.NextSlotRequest{Resource: resource.ID, Offer: q.values.Get("offer"), Party: q.party()}
	if q.values.Has("after") {
		req.After = q.instant("after", zone, 0)
	}
	if err := q.err(); err != nil {
		a.fail(w, r, err)
		return
	}
	slot, err := a.opts.Bookings.NextSlot(r.Context(), req)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, viewSlot(slot, zone))
}

// named is the resource of the path, and its zone.
func (a *API) named(r *http.Request) (booking.Resource, *time.Location, error) {
	resource, err := a.opts.Bookings.Resource(r.Context(), mux.Vars(r)["resource"])
	if err != nil {
		return booking.Resource{}, nil, err
	}
	zone, err := resource.Zone()
	return resource, zone, err
}

// readSpan reads from, to, party and offer. A date stands for the beginning of its day in
// the resource's zone; as to, for the beginning of the next day, so that the day itself
// is in. Without to, the span is seven days: of the calendar where from is a date.
func readSpan(values url.Values, zone *time.Location, now time.Time) (booking.AvailabilityRequest, error) {
	q := query{values, map[string]string{}}
	req := booking.AvailabilityRequest{From: now, Offer: values.Get("offer"), Party: q.party()}
	if values.Has("from") {
		req.From = q.instant("from", zone, 0)
	}
	req.To = req.From.Add(defaultDays * 24 * time.Hour)
	if _, err := booking.ParseDate(values.Get("from")); err == nil {
		req.To = q.instant("from", zone, defaultDays)
	}
	if values.Has("to") {
		req.To = q.instant("to", zone, 1)
	}
	return req, q.err()
}

// query is a query of which several parameters are read, and all that are wrong told at
// once.
type query struct {
	values   url.Values
	problems map[string]string
}

// instant reads a time, or a date, which stands for the beginning of the day so many days
// later.
func (q query) instant(name string, zone *time.Location, days int) time.Time {
	text := q.values.Get(name)
	if day, err := booking.ParseDate(text); err == nil {
		at, _ := day.AddDays(days).At(0, zone)
		return at
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.IsZero() {
		q.problems[name] = "must be a date such as 2026-12-01, or a time such as 2026-12-01T10:00:00Z"
	}
	return at
}

// party reads how many come, 1 unless said otherwise.
func (q query) party() int {
	if !q.values.Has("party") {
		return 1
	}
	n, err := strconv.Atoi(q.values.Get("party"))
	if err != nil || n < 1 {
		q.problems["party"] = "must be at least 1"
	}
	return n
}

func (q query) err() error {
	if len(q.problems) == 0 {
		return nil
	}
	return &booking.ValidationError{Fields: q.problems}
}

// local writes an instant with the offset that a zone has then.
func local(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.RFC3339) }
