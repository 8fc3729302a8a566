package checkout

import (
	"context"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/booking"
)

// Explain turns what is wrong with a request that could not be read whole into one *booking.ValidationError, together with what booking finds
// wrong with the rest. A field that could not be read is in problems; whatever value the wish has for it is not looked at.
//
// With a problem anywhere nothing may be held, so the question is asked under a reference that booking refuses before it touches anything.
func (d *Desk) Explain(ctx context.Context, wish booking.HoldRequest, problems map[string]string) error {
	wish.Reference = "\x00"
	_, err := d.bookings.Hold(ctx, wish)
	var more *booking.ValidationError
	if !errors.As(err, &more) {
		return fmt.Errorf("checkout: explain a request: %w", err)
	}
	all := map[string]string{}
	for field, problem := range more.Fields {
		all[field] = problem
	}
	delete(all, "reference")
	if problems["date"] != "" || problems["time"] != "" {
		// These stand in place of start, which is missing because of them.
		delete(all, "start")
	}
	for field, problem := range problems {
		all[field] = problem
	}
	return &booking.ValidationError{Fields: all}
}
