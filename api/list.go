package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// page is one of a list without a total.
type page[T any] struct {
	Items []T       `json:"items"`
	Meta  *pageMeta `json:"meta,omitempty"`
}

type pageMeta struct {
	Count int `json:"count"`
	// Next is before of the next page; absent on the last.
	Next string `json:"next,omitempty"`
}

type bookingList struct {
	Items []Booking       `json:"items"`
	Meta  bookingListMeta `json:"meta"`
}

type bookingListMeta struct {
	// Count is of this page. One that is not the last may be short, or empty.
	Count int `json:"count"`
	// Next is after of the next page, with the same order and filters; absent on the
	// last.
	Next string `json:"next,omitempty"`
	// Total is the number on all pages, as far as counted; with total=true.
	Total *int `json:"total,omitempty"`
	// TotalIsMore: there are more than were counted.
	TotalIsMore *bool `json:"totalIsMore,omitempty"`
}

// By default the newest first.
func (a *API) list(w http.ResponseWriter, r *http.Request) {
	opts, total, err := a.readList(r.Context(), r.URL.Query())
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	found, err := a.deps.Bookings.List(r.Context(), opts)
	if err != nil {
		a.writeError(w, r, err)
		return
	}
	answer := bookingList{Items: make([]Booking, 0, len(found.Bookings)),
		Meta: bookingListMeta{Count: len(found.Bookings), Next: found.Next}}
	cached := zones{}
	for _, b := range found.Bookings {
		v, err := a.view(r.Context(), cached, b)
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		answer.Items = append(answer.Items, v)
	}
	if total {
		sum, err := a.deps.Bookings.Count(r.Context(), opts)
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		answer.Meta.Total, answer.Meta.TotalIsMore = &sum.N, &sum.More
	}
	writeJSON(w, http.StatusOK, answer)
}

// Only status may be repeated.
var listParameters = map[string]bool{
	"after": true, "customer": true, "from": true, "kind": true, "limit": true, "number": true, "order": true,
	"reference": true, "resource": true, "status": true, "to": true, "total": true,
}

// readList refuses unknown parameters: with a misspelt filter the list would be of all
// bookings.
func (a *API) readList(ctx context.Context, values url.Values) (opts booking.ListOptions, total bool, err error) {
	q := query{values, map[string]string{}}
	for name, given := range values {
		switch {
		case !listParameters[name]:
			q.problems[name] = "is not a parameter of this list"
		case len(given) > 1 && name != "status":
			q.problems[name] = "is there more than once"
		case given[0] == "":
			q.problems[name] = "is empty"
		}
	}
	opts = booking.ListOptions{
		Order: booking.Order(values.Get("order")), After: values.Get("after"), Kind: booking.Kind(values.Get("kind")),
		Resource: values.Get("resource"), Customer: values.Get("customer"), Reference: values.Get("reference"),
		Number: values.Get("number"),
	}
	limit, err := readLimit(values)
	if err != nil {
		q.problems["limit"] = "must be between 1 and 500"
	}
	opts.Limit = limit
	for status := range strings.SplitSeq(strings.Join(values["status"], ","), ",") {
		if values.Has("status") {
			opts.Statuses = append(opts.Statuses, booking.Status(status))
		}
	}
	if values.Has("total") {
		if total, err = strconv.ParseBool(values.Get("total")); err != nil {
			q.problems["total"] = "must be true or false"
		}
	}
	zone := time.UTC
	if values.Has("from") || values.Has("to") {
		if zone, err = a.listZone(ctx, opts.Resource); err != nil {
			return opts, false, err
		}
	}
	if values.Has("from") {
		opts.From = q.instant("from", zone, 0)
	}
	if values.Has("to") {
		opts.To = q.instant("to", zone, 1)
	}
	return opts, total, q.err()
}

// listZone is for dates: the resource's, or UTC.
func (a *API) listZone(ctx context.Context, resource string) (*time.Location, error) {
	if resource == "" {
		return time.UTC, nil
	}
	res, err := a.deps.Bookings.Resource(ctx, resource)
	if errors.Is(err, booking.ErrNotFound) {
		return time.UTC, nil // The list is empty, or refuses the name.
	}
	if err != nil {
		return nil, err
	}
	return res.Zone()
}
