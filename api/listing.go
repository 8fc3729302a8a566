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

// bookingList is a page of bookings.
type bookingList struct {
	Items []bookingView   `json:"items"`
	Meta  bookingListMeta `json:"meta"`
}

type bookingListMeta struct {
	// Count is how many items this page has. A page may be short, or empty, with another
	// one to come.
	Count int `json:"count"`
	// Next is what to give as after for the next page, with the same order and filters;
	// absent on the last.
	Next string `json:"next,omitempty"`
	// Total is how many there are on all pages, as far as they were counted, where the
	// query says total=true.
	Total *int `json:"total,omitempty"`
	// TotalIsMore tells that there are more than were counted.
	TotalIsMore *bool `json:"totalIsMore,omitempty"`
}

// list answers the bookings, newest first unless the query asks for another order.
func (a *API) list(w http.ResponseWriter, r *http.Request) {
	opts, total, err := a.readListing(r.Context(), r.URL.Query())
	if err != nil {
		a.fail(w, r, err)
		return
	}
	page, err := a.opts.Bookings.List(r.Context(), opts)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	answer := bookingList{Items: make([]bookingView, 0, len(page.Bookings)),
		Meta: bookingListMeta{Count: len(page.Bookings), Next: page.Next}}
	known := zones{}
	for _, b := range page.Bookings {
		v, err := a.view(r.Context(), known, b)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		answer.Items = append(answer.Items, v)
	}
	if total {
		sum, err := a.opts.Bookings.Count(r.Context(), opts)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		answer.Meta.Total, answer.Meta.TotalIsMore = &sum.N, &sum.More
	}
	writeJSON(w, http.StatusOK, answer)
}

// listParameters are those of a list; status alone may come several times.
var listParameters = map[string]bool{
	"after": true, "customer": true, "from": true, "kind": true, "limit": true, "order": true, "reference": true,
	"resource": true,
	"status":   true, "to": true, "total": true,
}

// readListing reads what is asked for. A parameter that is there has a value, and one
// that is unknown is refused: a misspelt filter would answer all there is.
func (a *API) readListing(ctx context.Context, values url.Values) (opts booking.ListOptions, total bool, err error) {
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

// listZone is the zone that dates are meant in: that of the resource, and UTC where none
// is named.
func (a *API) listZone(ctx context.Context, resource string) (*time.Location, error) {
	if resource == "" {
		return time.UTC, nil
	}
	res, err := a.opts.Bookings.Resource(ctx, resource)
	if errors.Is(err, booking.ErrNotFound) {
		return time.UTC, nil // It has no bookings, on any date; what is no name of a resource is refused by the list.
	}
	if err != nil {
		return nil, err
	}
	return res.Zone()
}
