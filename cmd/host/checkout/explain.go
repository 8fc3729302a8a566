package checkout

import (
	"context"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// Explain turns what is wrong with a request that could not be read whole into one
// *booking.ValidationError, together with what booking finds wrong with the rest. A field
// that could not be read is in problems; whatever value the wish has for it is not looked
// at. Nothing is held.
func (d *Desk) Explain(ctx context.Context, wish booking.HoldRequest, problems map[string]string) error {
	err := d.bookings.Check(ctx, wish)
	var more *booking.ValidationError
	if err != nil && !errors.As(err, &more) {
		return fmt.Errorf("checkout: explain a request: %w", err)
	}
	all := map[string]string{}
	if more != nil {
		for field, problem := range more.Fields {
			all[field] = problem
		}
	}
	if problems["date"] != "" || problems["time"] != "" {
		// These stand in place of start, which is missing because of them.
		delete(all, "start")
	}
	for field, problem := range problems {
		all[field] = problem
	}
	return &booking.ValidationError{Fields: all}
}
