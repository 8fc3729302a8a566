package booking

import (
	"context"
	"strings"
)

const (
	numberSymbols = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
	numberLength  = 8
)

// normalNumber returns the form that is stored of a number as people type it.
func normalNumber(text string) (string, bool) {
	text = strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' || c == '\t' || c == '\u00a0' {
			return -1
		}
		return c
	}, strings.ToUpper(text))
	return text, len(text) == numberLength && strings.Trim(text, numberSymbols) == ""
}

const bookingByNumberSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.number = $1::text AND b.number <> ''`

// ByNumber returns the booking with a [Booking.Number], in capital or small letters, with
// or without spaces and hyphens. The error is [ErrNotFound], also for what is no number.
// A number is no secret: ask for more before you tell a customer what was booked. One
// round trip.
func (s *Store) ByNumber(ctx context.Context, number string) (Booking, error) {
	normal, ok := normalNumber(number)
	var b Booking
	err := s.read(ctx, func(q Querier) error {
		if !ok {
			return ErrNotFound
		}
		row, found, err := selectOne[bookingRow](ctx, q, bookingByNumberSQL, normal)
		if err == nil && !found {
			err = ErrNotFound
		}
		if err == nil {
			b, err = row.booking()
		}
		return err
	})
	return b, wrap(ctx, "by number", err)
}
