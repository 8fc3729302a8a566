package payments_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Of two who ask for one session at once, one gives up, and the slot is free again, while
// the other's call is at Stripe. The answer comes, but nobody may be sent to pay for what
// was given up.
func TestSessionOfACheckoutThatWasGivenUpMeanwhile(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, setup{stripe: stripetest.Options{OnCreate: func(s stripetest.Session) {
		if err := w.payments.Abandon(context.Background(), s.Metadata["booking_id"]); err != nil {
			t.Errorf("abandon: %v", err)
		}
	}}})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Equal(t, booking.Cancelled, w.status(b.ID))
	require.Equal(t, payments.Failed, w.payment(b.ID).Status())
	require.Empty(t, w.payment(b.ID).URL)
}
