package pages

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// A visitor has no cookie. What a browser holds is recognised by the chain: a random text
// in the form that begins the idempotency keys of all bookings made from it, and from the
// pages that followed. It is as secret as the key of a form, and an owner token finds it
// again.
const chainPrefix = "page:"

var chainText = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// chainOf returns the chain of a booking made by a form, or "".
func chainOf(b booking.Booking) string {
	rest, _ := strings.CutPrefix(b.IdempotencyKey, chainPrefix)
	chain, _, _ := strings.Cut(rest, ":")
	if !chainText.MatchString(chain) {
		return ""
	}
	return chain
}

// ownHold is a hold of the visitor that is not paid yet.
type ownHold struct {
	What, When, Until string
	// Link is the page where it is paid for or given up.
	Link string
	// start and end are those of the slot.
	start, end time.Time
	resource   booking.Resource
}

// maxOwn is how many holds a page lists.
const maxOwn = 5

// ownHolds returns the open holds of an address that the chain of a form shows to be the
// visitor's, and that of token, if it is one. A round trip for each, and one more.
func (p *Pages) ownHolds(r *http.Request, email, chain string, known *booking.Booking) ([]ownHold, error) {
	ctx := r.Context()
	var all []ownHold
	add := func(b booking.Booking) error {
		left, err := p.holdLeft(ctx, b)
		if err != nil || left <= 0 || b.OwnerToken == "" {
			return err
		}
		f, err := p.withResource(r, b)
		if err != nil {
			return err
		}
		all = append(all, ownHold{What: f.what(), When: f.when(), Until: f.reservedFor(left),
			Link: p.path("/cancel", b), start: b.Start, end: b.End, resource: f.resource})
		return nil
	}
	if known != nil {
		if err := add(*known); err != nil {
			return nil, err
		}
	}
	if chain == "" || email == "" {
		return all, nil
	}
	page, err := p.deps.Bookings.List(ctx, booking.ListOptions{Customer: email, Kind: booking.KindBooking,
		Statuses: []booking.Status{booking.StatusPending}, Limit: 50})
	if err != nil {
		return nil, err
	}
	for _, b := range page.Bookings {
		if chainOf(b) != chain || known != nil && b.ID == known.ID || len(all) == maxOwn {
			continue
		}
		if b, err = p.deps.Bookings.WithOwnerToken(ctx, b.ID); err != nil {
			return nil, err
		}
		if err := add(b); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// holdLeft returns how long a hold can still be paid for, 0 if it cannot.
func (p *Pages) holdLeft(ctx context.Context, b booking.Booking) (time.Duration, error) {
	_, left, err := p.deps.Payments.Resume(ctx, b.ID)
	if notResumable(err) {
		return 0, nil
	}
	return left, err
}

// ownBooking returns the booking that a link to the resource's page names as the visitor's
// own, or nil.
func (p *Pages) ownBooking(ctx context.Context, values url.Values) (*booking.Booking, error) {
	if values.Get("token") == "" {
		return nil, nil
	}
	b, err := p.deps.Bookings.Owned(ctx, values.Get("booking"), values.Get("token"))
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b.OwnerToken = values.Get("token")
	return &b, nil
}

// holds reports whether one of the visitor's holds covers the start that was asked for.
func (v *bookView) holds(req booking.HoldRequest) bool {
	return slices.ContainsFunc(v.Own, func(h ownHold) bool {
		return (req.Resource == h.resource.ID || req.Resource == h.resource.Slug) &&
			!req.Start.Before(h.start) && req.Start.Before(h.end)
	})
}
