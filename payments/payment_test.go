package payments

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

func TestPayment_Status(t *testing.T) {
	t.Parallel()
	eur := func(minor int64) booking.Money { return booking.Money{Minor: minor, Currency: "eur"} }
	for want, p := range map[Status]Payment{
		Open:              {},
		Processing:        {completed: true},
		Paid:              {completed: true, Captured: eur(100)},
		PartiallyRefunded: {completed: true, Captured: eur(100), Refunded: eur(40)},
		Refunded:          {completed: true, Captured: eur(100), Refunded: eur(100)},
		Disputed:          {completed: true, Captured: eur(100), Lost: eur(40), OpenDisputes: 1},
		DisputeLost:       {completed: true, Captured: eur(100), Lost: eur(40), Refunded: eur(60)},
		Failed:            {completed: true, failed: true},
		Expired:           {expired: true},
		Parked:            {completed: true, Captured: eur(100), parked: true, ParkedReason: ReasonLate},
	} {
		require.Equal(t, want, p.Status())
	}
	// Facts arrive in any order, and a later one must not hide the money.
	require.Equal(t, Paid, Payment{expired: true, Captured: eur(100)}.Status())
	require.Equal(t, PartiallyRefunded, Payment{Refunded: eur(100)}.Status(), "a refund that waits for its payment")

	// Parked, and nothing is left to decide.
	require.Equal(t, Refunded, Payment{parked: true, Captured: eur(100), Refunded: eur(100)}.Status())
	require.Equal(t, DisputeLost, Payment{parked: true, Captured: eur(100), Refunded: eur(60), Lost: eur(40)}.Status())
	require.Equal(t, Parked, Payment{parked: true, Captured: eur(100), Refunded: eur(99)}.Status())
	require.Equal(t, Failed, Payment{completed: true, parked: true, failed: true}.Status())
	require.Equal(t, Parked, Payment{completed: true, parked: true}.Status())
}
