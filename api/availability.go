package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// Slot is a time that can be booked, with the offset of the resource's zone.
type Slot struct {
	Start string `json:"start"`
	End   string `json:"end"`
	// Remaining is how many people it has room for.
	Remaining int `json:"remaining"`
}

// SlotOf converts a slot of a resource in zone.
func SlotOf(s booking.Slot, zone *time.Location) Slot {
	return Slot{Start: local(s.Start, zone), End: local(s.End, zone), Remaining: s.Remaining}
}

// defaultDays is without to. Package booking limits the span.
const defaultDays = 7

func (a *API) availability(w http.ResponseWriter, r *http.Request) {
	q, now := query{r.URL.Query(), map[string]string{}}, time.Now()
	var zone *time.Location
	found, err := a.deps.Bookings.Availability(r.Context(), booking.AvailabilityRequest{
		Resources: []string{r.PathValue("resource")}, Offer: q.values.Get("offer"), Party: q.party(),
		Span: func(in *time.Location) (from, to time.Time, err error) {
			zone = in
			from, to = q.span(zone, now)
			return from, to, q.err()
		},
	})
	if errors.Is(err, booking.ErrNotFound) {
		err = booking.ErrNotFound
	}
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	answer := page[Slot]{Items: []Slot{}}
	for _, s := range found[0].Slots {
		answer.Items = append(answer.Items, SlotOf(s, zone))
	}
	writeJSON(w, http.StatusOK, answer)
}

func (a *API) next(w http.ResponseWriter, r *http.Request) {
	resource, zone, err := a.resourceOf(r)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	q := query{r.URL.Query(), map[string]string{}}
	req := booking.NextSlotRequest{Resource: resource.ID, Offer: q.values.Get("offer"), Party: q.party()}
	if q.values.Has("after") {
		req.After = q.instant("after", zone, 0)
	}
	if err := q.err(); err != nil {
		a.writeError(w, r, err)
		return
	}
	slot, err := a.deps.Bookings.NextSlot(r.Context(), req)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, SlotOf(slot, zone))
}

func (a *API) resourceOf(r *http.Request) (booking.Resource, *time.Location, error) {
	resource, err := a.deps.Bookings.Resource(r.Context(), r.PathValue("resource"))
	if err != nil {
		return booking.Resource{}, nil, err
	}
	zone, err := resource.Zone()
	return resource, zone, err
}

// span reads from and to. A date means the start of the day in the resource's zone, and
// as to, which is exclusive, that of the next day. Without to the span is seven days:
// calendar days if from is a date.
func (q query) span(zone *time.Location, now time.Time) (from, to time.Time) {
	if from = now; q.values.Has("from") {
		from = q.instant("from", zone, 0)
	}
	to = from.Add(defaultDays * 24 * time.Hour)
	if _, err := booking.ParseDate(q.values.Get("from")); err == nil {
		to = q.instant("from", zone, defaultDays)
	}
	if q.values.Has("to") {
		to = q.instant("to", zone, 1)
	}
	return from, to
}
