package payments_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func neverMade(t *testing.T, s setup) *world {
	t.Helper()
	s.stripe.NeverMade = func(stripetest.Event) bool { return true }
	return newWorld(t, s)
}

func (w *world) discoverRefunds() int {
	w.t.Helper()
	n, err := w.payments.DiscoverRefunds(w.t.Context())
	require.NoError(w.t, err)
	asked, err := w.payments.RefreshRefunds(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, min(n, 20), asked)
	return n
}

// A refund in the dashboard without an event is found, and so is its failure.
func TestDiscoverRefunds_WithoutEvents(t *testing.T) {
	t.Parallel()
	w := neverMade(t, setup{stripe: stripetest.Options{PendingRefunds: true}})
	inPart, inFull := w.hold(0), w.hold(1)
	for _, b := range []booking.Booking{inPart, inFull} {
		c := w.checkout(b)
		_, err := w.stripe.Pay(t.Context(), c.SessionID)
		require.NoError(t, err)
		require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	}
	require.Zero(t, w.discoverRefunds())
	part, err := w.stripe.RefundFromDashboard(w.payment(inPart.ID).SessionID, 100)
	require.NoError(t, err)
	_, err = w.stripe.RefundFromDashboard(w.payment(inFull.ID).SessionID, 0)
	require.NoError(t, err)
	require.Equal(t, 2, w.discoverRefunds())
	require.Equal(t, payments.StatusPartiallyRefunded, w.payment(inPart.ID).Status())
	require.Equal(t, booking.StatusConfirmed, w.status(inPart.ID))
	require.Equal(t, payments.StatusRefunded, w.payment(inFull.ID).Status())
	require.Equal(t, booking.StatusCancelled, w.status(inFull.ID), "cancelled because refunded in full")
	require.Zero(t, w.discoverRefunds(), "known already")

	_, err = w.stripe.FailRefund(part, "lost_or_stolen_card")
	require.NoError(t, err)
	require.Equal(t, 1, w.discoverRefunds(), "it has another status")
	require.Equal(t, payments.StatusPaid, w.payment(inPart.ID).Status())
	require.Zero(t, w.discoverRefunds())
	w.requireBooks()
}

// Other payments' refunds are ignored, our own are known. A list is read in pages of a
// hundred.
func TestDiscoverRefunds_Pages(t *testing.T) {
	t.Parallel()
	w := neverMade(t, setup{})
	b, other := w.hold(0), w.hold(1)
	for _, b := range []booking.Booking{b, other} {
		c := w.checkout(b)
		_, err := w.stripe.Pay(t.Context(), c.SessionID)
		require.NoError(t, err)
		require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	}
	w.refund(w.payment(b.ID), 100, "rain")
	w.settle(1)
	_, err := w.stripe.RefundFromDashboard(w.payment(b.ID).SessionID, 100)
	require.NoError(t, err)
	// The oldest is on the second page.
	for range 110 {
		_, err := w.stripe.RefundFromDashboard(w.payment(other.ID).SessionID, 1)
		require.NoError(t, err)
	}
	w.exec(`UPDATE booking_platform.payments SET stripe_payment_intent_id = 'pi_foreign'
		WHERE booking_id = $1::uuid`, other.ID)

	// Each is reported once, or read twice, which is harmless.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := w.payments.DiscoverRefunds(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	asked, err := w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	require.EqualValues(t, 200, w.payment(b.ID).Refunded.Minor)
	require.Len(t, w.refundsOf(w.payment(b.ID)), 2)
	require.Zero(t, w.payment(other.ID).Refunded.Minor)
}

// Failures are reported, and the next run finds the refund.
func TestDiscoverRefunds_StripeIsDown(t *testing.T) {
	t.Parallel()
	w := neverMade(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	p := w.payment(b.ID)
	_, err = w.stripe.RefundFromDashboard(p.SessionID, 100)
	require.NoError(t, err)
	// The library repeats the call once.
	f := w.stripe.Fault(func(r *http.Request) bool { return r.URL.Path == "/v1/refunds" }, stripetest.FailBefore, 2)
	_, err = w.payments.DiscoverRefunds(t.Context())
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Equal(t, 2, f.Fired())
	require.Equal(t, 1, w.discoverRefunds())
}

// Only charge.refunded arrives, which does not name the refunds.
func TestRefreshRefunds_ChargeEventOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, p := w.paid(0)
	require.Equal(t, http.StatusOK, w.send("evt_1", "charge.refunded", map[string]any{
		"id": "ch_1", "object": "charge", "payment_intent": p.PaymentIntentID, "amount_refunded": price,
	}))
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
	// Refunded in the dashboard; the refund's own events are lost.
	_, err := w.stripe.RefundFromDashboard(p.SessionID, price)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.exec(`DELETE FROM booking_platform.refunds`)
	w.exec(`UPDATE booking_platform.payments SET refunded_minor = 0, refund_committed = 0, refunds_unknown = 1`)
	w.exec(`UPDATE booking_platform.bookings SET status = 'confirmed'`)
	asked, err := w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	asked, err = w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Zero(t, asked, "once is enough")
	require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusCancelled, w.status(b.ID))
	w.requireBooks()
}

func TestRefundEvents_FromDashboard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts   payments.Options
		amount int64
		want   booking.Status
		status payments.Status
	}{
		"in full": {amount: price, want: booking.StatusCancelled, status: payments.StatusRefunded},
		"in part": {amount: 1000, want: booking.StatusConfirmed, status: payments.StatusPartiallyRefunded},
		"in full, kept": {opts: payments.Options{KeepRefunded: true}, amount: price, want: booking.StatusConfirmed,
			status: payments.StatusRefunded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{opts: test.opts})
			b, p := w.paid(0)
			_, err := w.stripe.RefundFromDashboard(p.SessionID, test.amount)
			require.NoError(t, err)
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Equal(t, test.want, w.status(b.ID))
			require.Equal(t, test.status, w.payment(b.ID).Status())
			w.requireBooks()
		})
	}
}

// It is visible and can be retried.
func TestRefundEvents_FailedByBank(t *testing.T) {
	t.Parallel()
	for name, pending := range map[string]int{"after it succeeded": 0, "while it was pending": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b, p := w.paid(0)
			w.stripe.MakeRefundsPending(pending)
			w.refund(p, 0, "case 1")
			w.settle(1)
			require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
			_, err := w.stripe.FailRefund(w.refundsOf(p)[0].StripeID, "expired_or_canceled_card")
			require.NoError(t, err)
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status(), "the money is back here")
			attention, err := w.payments.RefundsNeedingAttention(t.Context())
			require.NoError(t, err)
			require.Len(t, attention, 1)
			require.Equal(t, "expired_or_canceled_card", attention[0].Failure)
			w.requireBooks()

			w.refund(p, 0, "case 1, again")
			w.settle(1)
			attention, err = w.payments.RefundsNeedingAttention(t.Context())
			require.NoError(t, err)
			require.Empty(t, attention, "replaced by another refund")
			require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
			w.requireBooks()
		})
	}
}

// M18: A refund that is pending for longer than the list reaches is read once a day.
func TestDiscoverRefunds_PendingForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{NeverMade: func(stripetest.Event) bool { return true },
		PendingRefunds: true}})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	p := w.payment(b.ID)
	w.refund(p, 0, "case 1")
	w.settle(1)
	_, err = w.stripe.CancelRefund(w.refundsOf(p)[0].StripeID)
	require.NoError(t, err)
	w.exec(`UPDATE booking_platform.refunds
		SET created_at = statement_timestamp() - interval '40 days',
		updated_at = statement_timestamp() - interval '2 days'`)
	// As if the list did not reach it.
	w.exec(`UPDATE booking_platform.payments SET stripe_payment_intent_id = stripe_payment_intent_id || '_'`)
	found, err := w.payments.DiscoverRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, found)
	w.exec(`UPDATE booking_platform.payments SET stripe_payment_intent_id = rtrim(stripe_payment_intent_id, '_')`)
	asked, err := w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	require.Equal(t, payments.RefundCanceled, w.refundsOf(p)[0].Status)
}
