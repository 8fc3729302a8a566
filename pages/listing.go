package pages

import (
	"context"
	"net/url"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// listFilter is the form above the bookings: what was asked for, what there is to choose
// from, and what is wrong.
type listFilter struct {
	From, Status, Resource, Customer string
	Statuses                         []booking.Status
	Resources                        []booking.Resource
	Problems                         map[string]string
}

type bookingRow struct {
	When, What, Name, Email, Amount string
	Party, More                     int
	Kind                            booking.Kind
	Status                          booking.Status
}

// listBookings puts a page of bookings by time into the dashboard: from today on, unless
// the form says otherwise.
func (p *Pages) listBookings(ctx context.Context, v *dashboardView, query url.Values) error {
	resources, err := p.opts.Bookings.Resources(ctx)
	if err != nil {
		return err
	}
	zone, err := listZone(resources, query.Get("resource"))
	if err != nil {
		return err
	}
	v.Filter = listFilter{
		From: query.Get("from"), Status: query.Get("status"), Resource: query.Get("resource"),
		Customer: query.Get("customer"),
		Statuses: []booking.Status{booking.Pending, booking.Confirmed, booking.Cancelled, booking.Completed,
			booking.NoShow, booking.Expired},
		Resources: resources,
	}
	if !query.Has("from") {
		v.Filter.From = time.Now().In(zone).Format(time.DateOnly)
	}
	opts := booking.ListOptions{Order: booking.ByStart, After: query.Get("after"), Resource: v.Filter.Resource,
		Customer: v.Filter.Customer}
	if v.Filter.Status != "" {
		opts.Statuses = []booking.Status{booking.Status(v.Filter.Status)}
	}
	if v.Filter.From != "" {
		day, err := booking.ParseDate(v.Filter.From)
		if opts.From, _ = day.At(0, zone); err != nil || opts.From.IsZero() {
			return &booking.ValidationError{Fields: map[string]string{"from": "must be a date such as 2026-12-01"}}
		}
	}
	found, err := p.opts.Bookings.List(ctx, opts)
	if err != nil {
		return err
	}
	if found.Next != "" {
		v.Next = "/dashboard?" + url.Values{
			"from": {v.Filter.From}, "status": {v.Filter.Status}, "resource": {v.Filter.Resource},
			"customer": {v.Filter.Customer}, "after": {found.Next},
		}.Encode()
	}
	v.Bookings, err = p.bookingRows(ctx, found.Bookings)
	return err
}

// listZone is the zone that the form's date is meant in: that of the resource, or the one
// they are all in, else UTC.
func listZone(resources []booking.Resource, chosen string) (*time.Location, error) {
	name := ""
	for _, r := range resources {
		switch {
		case chosen == r.Slug || chosen == r.ID:
			return r.Zone()
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
			if res, err = p.opts.Bookings.Resource(ctx, b.ResourceID); err != nil {
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
			Name:  b.Customer.FirstName + " " + b.Customer.LastName,
			Email: b.Customer.Email, Amount: amount(b.Amount), Party: b.Party, More: b.Party - 1, Kind: b.Kind,
			Status: b.Status,
		})
	}
	return rows, nil
}
