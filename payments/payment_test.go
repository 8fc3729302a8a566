package payments

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

// M13.
func TestPayment_Status(t *testing.T) {
	t.Parallel()
	eur := func(minor int64) booking.Money { return booking.Money{Minor: minor, Currency: "eur"} }
	for want, p := range map[Status]Payment{
		StatusOpen:              {},
		StatusProcessing:        {completed: true},
		StatusPaid:              {completed: true, Captured: eur(100)},
		StatusPartiallyRefunded: {completed: true, Captured: eur(100), Refunded: eur(40)},
		StatusRefunded:          {completed: true, Captured: eur(100), Refunded: eur(100)},
		StatusDisputed:          {completed: true, Captured: eur(100), Lost: eur(40), OpenDisputes: 1},
		StatusDisputeLost:       {completed: true, Captured: eur(100), Lost: eur(40), Refunded: eur(60)},
		StatusFailed:            {completed: true, failed: true},
		StatusExpired:           {expired: true},
		StatusParked:            {completed: true, Captured: eur(100), parked: true, ParkedReason: ReasonLate},
	} {
		require.Equal(t, want, p.Status())
	}
	// Facts arrive in any order, and a later one must not hide the money.
	require.Equal(t, StatusPaid, Payment{expired: true, Captured: eur(100)}.Status())
	require.Equal(t, StatusPartiallyRefunded, Payment{Refunded: eur(100)}.Status(),
		"a refund that waits for its payment")

	// Parked, and nothing is left to decide.
	require.Equal(t, StatusRefunded, Payment{parked: true, Captured: eur(100), Refunded: eur(100)}.Status())
	require.Equal(t, StatusDisputeLost, Payment{parked: true, Captured: eur(100), Refunded: eur(60),
		Lost: eur(40)}.Status())
	require.Equal(t, StatusParked, Payment{parked: true, Captured: eur(100), Refunded: eur(99)}.Status())
	require.Equal(t, StatusFailed, Payment{completed: true, parked: true, failed: true}.Status())
	require.Equal(t, StatusParked, Payment{completed: true, parked: true}.Status())
}
