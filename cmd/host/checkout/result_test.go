package checkout_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/checkout"
)

// Each error has its word, wrapped or not, and every word is used.
func TestResult(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "held"}, {booking.ErrSlotTaken, "taken"}, {booking.ErrSlotGone, "taken"},
		{&booking.HoldLimitError{}, "limit"}, {&checkout.RateError{}, "limit"},
		{&booking.ValidationError{}, "invalid"}, {booking.ErrNotFound, "invalid"},
		{booking.ErrIdempotencyMismatch, "invalid"},
		{checkout.ErrPaymentUnavailable, "payment_unavailable"}, {checkout.ErrPaymentRefused, "payment_refused"},
		{booking.ErrHoldExpired, "expired"}, {context.Canceled, "cancelled"},
		{context.DeadlineExceeded, "failed"}, {errors.New("anything else"), "failed"},
		// Stripe could not be asked in time, because the customer had gone.
		{fmt.Errorf("%w: %w", checkout.ErrPaymentUnavailable, context.Canceled), "payment_unavailable"},
	} {
		require.Equal(t, c.want, checkout.Result(c.err))
		said[c.want] = true
		if c.err != nil {
			require.Equal(t, c.want, checkout.Result(fmt.Errorf("begin: %w", c.err)))
		}
	}
	require.Len(t, said, len(checkout.Results))
	for _, word := range checkout.Results {
		require.True(t, said[word], word)
	}
}
