package booking_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Whatever a client sends is refused by name or stored as it was sent; it is never an
// error of the database's.
func FuzzHold(f *testing.F) {
	store := newStore(f, testdb.New(f))
	create(f, store, func(r *booking.Resource) {
		r.Capacity, r.SlotLength, r.Horizon = 10000, time.Minute,
			3650*24*time.Hour
	})
	f.Add("court", "Ada", "Lovelace", "ada@example.com", "order 7", "key", "note", "it's", int64(60), 1)
	f.Add("COURT", "\x00", "\xff", "a@b", "\u2028", "\ufffe", "\u0000", "\U0010ffff", int64(-1), -1)
	f.Add("019A2B3C-0000-7000-8000-000000000000", "", " ", "<a@b.c>", "'", "\\", "\"", "{}", int64(1)<<62, 1<<40)
	f.Fuzz(func(t *testing.T, resource, first, last, email, reference, key, name, value string, seconds int64,
		party int) {
		req := booking.HoldRequest{
			Resource: resource, Start: time.Unix(seconds, 0), Party: party,
			Customer:  booking.Customer{FirstName: first, LastName: last, Email: email},
			Reference: reference, IdempotencyKey: key, Metadata: map[string]string{name: value},
		}
		for _, start := range []time.Time{req.Start, slot(0).Add(time.Duration(uint16(seconds)) * time.Minute)} {
			req.Start = start
			b, err := store.Hold(t.Context(), req)
			var invalid *booking.ValidationError
			if errors.As(err, &invalid) || errors.Is(err, booking.ErrSlotTaken) ||
				errors.Is(err, booking.ErrIdempotencyMismatch) {
				continue
			}
			require.NoError(t, err)
			stored, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, b, stored)
			_, err = store.List(t.Context(), booking.ListOptions{Resource: resource, Reference: reference})
			require.NoError(t, err)
		}
	})
}
