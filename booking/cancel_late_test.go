package booking_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// M22: a hold that is cancelled keeps, by its policy at that time, what goes back of
// money that comes later.
func TestCancel_HoldKeepsItsLateRefund(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy       booking.Policy
		req          booking.CancelRequest
		late, refund *int64 // after the cancellation, and after the money came
		err          error
	}{
		"free": {booking.Policy{}, booking.CancelRequest{ByCustomer: true}, minor(5000), nil, nil},
		"fee":  {feeSoon, booking.CancelRequest{ByCustomer: true}, minor(3500), minor(3500), nil},
		"fee, money on its way": {feeSoon, booking.CancelRequest{ByCustomer: true, Paying: true}, minor(3500),
			minor(3500), nil},
		"never": {booking.Policy{Never: true}, booking.CancelRequest{ByCustomer: true}, minor(0),
			minor(0), nil},
		"never, money on its way": {booking.Policy{Never: true},
			booking.CancelRequest{ByCustomer: true, Paying: true}, nil, nil, booking.ErrPolicy},
		"staff":                   {feeSoon, booking.CancelRequest{}, nil, nil, nil},
		"staff, money on its way": {feeSoon, booking.CancelRequest{Paying: true}, nil, nil, nil},
		"staff give some of it": {feeSoon, booking.CancelRequest{Paying: true, Refund: minor(100)}, minor(100),
			minor(100), nil},
		"staff give nothing of it": {booking.Policy{}, booking.CancelRequest{Paying: true, Refund: minor(0)}, minor(0),
			minor(0), nil},
		"staff give too much of it": {booking.Policy{}, booking.CancelRequest{Paying: true, Refund: minor(5001)}, nil,
			nil, &booking.ValidationError{}},
		"nothing was paid": {booking.Policy{}, booking.CancelRequest{Refund: minor(100)}, nil, nil,
			&booking.ValidationError{}},
	}
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		for name, test := range tests {
			r := create(t, store, func(r *booking.Resource) {
				r.Slug, r.Policy, r.Price.Minor = "r"+uuid.NewString(), test.policy, 5000
			})
			req := request(slot(0))
			req.Resource = r.ID
			b := hold(t, store, req)
			test.req.ID = b.ID
			cancelled, err := store.Cancel(t.Context(), test.req)
			if test.err != nil {
				require.Error(t, err, name)
				var invalid *booking.ValidationError
				if test.err != booking.ErrPolicy {
					require.ErrorAs(t, err, &invalid, name)
				} else {
					require.ErrorIs(t, err, booking.ErrPolicy, name)
				}
				continue
			}
			require.NoError(t, err, name)
			require.Nil(t, cancelled.Refund, name)
			requireMinor(t, test.late, cancelled.LateRefund, name)

			apply := func(begun time.Time) (b booking.Booking, kept bool) {
				tx, err := db.BeginTx(t.Context(), nil)
				require.NoError(t, err)
				b, kept, err = store.Tx(tx).ApplyLateRefund(t.Context(), cancelled.ID, begun)
				require.NoError(t, err)
				require.NoError(t, tx.Commit())
				return b, kept
			}
			_, kept := apply(time.Now().Add(time.Hour))
			require.False(t, kept, "%s: paid after the cancellation", name)
			after, kept := apply(time.Time{})
			require.Equal(t, test.refund != nil, kept, name)
			if kept {
				requireMinor(t, test.refund, after.Refund, name)
				_, again := apply(time.Time{})
				require.False(t, again, "once")
			}
		}
	})
}

func requireMinor(t *testing.T, want *int64, got *booking.Money, name string) {
	t.Helper()
	require.Equal(t, want == nil, got == nil, name)
	if want != nil {
		require.Equal(t, *want, got.Minor, name)
	}
}
