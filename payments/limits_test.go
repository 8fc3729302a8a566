package payments_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// lock keeps a row from everybody else until the test ends.
func (w *world) lock(query, id string) {
	w.t.Helper()
	tx, err := w.db.Begin()
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = tx.Rollback() })
	var got string
	require.NoError(w.t, tx.QueryRow(query, id).Scan(&got))
}

// A database that hangs is waited for within the same limit as Stripe.
func TestCheckoutEndsInTimeBeforeItsCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{Timeout: 300 * time.Millisecond}})
	b := w.hold(0)
	w.lock(`SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, b.ID)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := w.payments.Checkout(ctx, b.ID)
	require.Error(t, err)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, payments.ErrUnavailable, "Stripe was not asked")
	require.NoError(t, ctx.Err(), "it did not wait for its caller's limit")
}

// Once Stripe has answered there is what is left of the limit for storing that, a second
// at least, and no more.
func TestCheckoutEndsInTimeAfterItsCall(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, setup{opts: payments.Options{Timeout: 2 * time.Second},
		stripe: stripetest.Options{OnCreate: func(s stripetest.Session) {
			w.lock(`SELECT id FROM booking_platform.payments WHERE id = $1::uuid FOR UPDATE`, s.ClientReferenceID)
		}}})
	b := w.hold(0)
	start := time.Now()
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.Error(t, err)
	require.NotErrorIs(t, err, payments.ErrUnavailable)
	require.Less(t, time.Since(start), 5*time.Second)
}
