package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
)

// pricesNamed bounds how many prices a finding lists.
const pricesNamed = 10

// prices finds what Stripe refuses to charge. A resource file with such a price is not
// applied, so what is always refused was written by SQL; what may be refused was told
// when the file was applied.
func (e *examination) prices(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	active, err := bookings.Resources(ctx)
	if err != nil {
		return nil, err
	}
	var refused, doubtful []string
	for _, r := range active {
		var invalid *booking.ValidationError
		if errors.As(r.Validate(), &invalid) {
			for _, field := range []string{"currency", "price", "policy", "offers"} {
				if problem := invalid.Fields[field]; problem != "" {
					refused = append(refused, fmt.Sprintf("%s: %s %s", r.Slug, field, problem))
				}
			}
		}
		for _, w := range r.Warnings() {
			doubtful = append(doubtful, fmt.Sprintf("%s: %s", r.Slug, w))
		}
	}
	var found []Finding
	if len(refused) > 0 {
		found = append(found, problem(Prices,
			"what is sold would be refused by host resource apply, and is not charged by Stripe: "+listed(refused),
			"Change it in the file of the resource, and run host resource apply."))
	}
	if len(doubtful) > 0 {
		found = append(found, warning(Prices, "Stripe may refuse to charge one person: "+listed(doubtful),
			"Raise the price or make it free. It may stay where the account is paid out in another currency and has charged it."))
	}
	if len(found) == 0 {
		found = append(found, ok(Prices, "what can be booked can be charged"))
	}
	return found, nil
}

func listed(all []string) string {
	if more := len(all) - pricesNamed; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(all[:pricesNamed], "; "), more)
	}
	return strings.Join(all, "; ")
}
