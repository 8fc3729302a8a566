package booking

import (
	"context"
	"strings"
)

// Get returns a booking by its id; the error is [ErrNotFound] when there is none. One
// round trip.
func (s *Store) Get(ctx context.Context, id string) (Booking, error) { return get(ctx, s.read, id) }

func get(ctx context.Context, run runner, id string) (Booking, error) {
	var b Booking
	err := run(ctx, func(q Querier) error {
		if !isID(id) {
			return ErrNotFound
		}
		row, found, err := selectOne[bookingRow](ctx, q, bookingByIDSQL, strings.ToLower(id))
		if err == nil && !found {
			err = ErrNotFound
		}
		if err == nil {
			b, err = row.booking()
		}
		return err
	})
	return b, wrap(ctx, "get", err)
}
