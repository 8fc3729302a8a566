package payments_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// Stripe sends the event of a refund before it answers the call that made it: there is
// one row.
func TestRefundEventBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	var w *world
	waited := 0
	w = newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(rw, r)
			if r.Method == http.MethodPost && r.URL.Path == "/v1/refunds" {
				waited++
				_ = w.stripe.WaitDelivered(r.Context())
			}
		})
	}})
	_, p := w.paid(0)
	w.refund(p, 0, "case 1")
	w.settle(1)
	require.Equal(t, 1, waited)
	require.Len(t, w.refundsOf(p), 1)
	w.requireBooks()
}

// Stripe has made the refund, nobody here has heard of it, and the key may be forgotten:
// it is looked up before it would be made twice.
func TestRefundIsLookedUpBeforeAForgottenKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	r := w.refund(p, 1000, "case 1")
	w.settle(1)
	// As if the host had died before it stored the answer, and no event had come.
	w.exec(`UPDATE booking_platform.refunds SET status = 'due', stripe_refund_id = NULL, next_try_at = statement_timestamp(),
		first_called_at = statement_timestamp() - interval '2 days' WHERE id = $1::uuid`, r.ID)
	w.stripe.Advance(48 * 3600e9)
	w.settle(1)
	require.Len(t, w.stripe.Refunds(), 1, "a second one would have been made under a forgotten key")
	w.requireBooks()

	// One that was never made is made under another key.
	never := w.refund(p, 500, "case 2")
	w.exec(`UPDATE booking_platform.refunds SET first_called_at = statement_timestamp() - interval '2 days' WHERE id = $1::uuid`, never.ID)
	w.settle(1)
	require.Len(t, w.stripe.Refunds(), 2)
	w.requireBooks()
}

func TestRefundFromTheDashboard(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts   payments.Options
		amount int64
		want   booking.Status
		status payments.Status
	}{
		"in full": {amount: price, want: booking.Cancelled, status: payments.Refunded},
		"in part": {amount: 1000, want: booking.Confirmed, status: payments.PartiallyRefunded},
		"in full, kept": {opts: payments.Options{KeepRefunded: true}, amount: price, want: booking.Confirmed,
			status: payments.Refunded},
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

// All that came of it is the charge's event, which does not say which refunds there were.
func TestRefundsAreLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, p := w.paid(0)
	require.Equal(t, http.StatusOK, w.send("evt_1", "charge.refunded", map[string]any{
		"id": "ch_1", "object": "charge", "payment_intent": p.PaymentIntentID, "amount_refunded": price,
	}))
	require.Equal(t, payments.Paid, w.payment(b.ID).Status())
	// Somebody at Stripe has given it back, and the refunds' own events are lost.
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
	require.Equal(t, payments.Refunded, w.payment(b.ID).Status())
	require.Equal(t, booking.Cancelled, w.status(b.ID))
	w.requireBooks()
}

// While our own refund is due, somebody at Stripe has given everything back: ours is
// refused, and what is committed to stays right.
func TestRefundThatSomebodyElseMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{KeepRefunded: true}})
	b, p := w.paid(0)
	ours := w.refund(p, 1000, "case 1")
	_, err := w.stripe.RefundFromDashboard(p.SessionID, price)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.settle(0)
	for _, r := range w.refundsOf(p) {
		if r.ID == ours.ID {
			require.Equal(t, payments.RefundFailed, r.Status)
			require.Equal(t, "charge_already_refunded", r.Failure)
		}
	}
	troubled, err := w.payments.RefundsNeedingAttention(t.Context())
	require.NoError(t, err)
	require.Empty(t, troubled, "everything has gone back: nobody has to look")
	require.Equal(t, payments.Refunded, w.payment(b.ID).Status())
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 2"})
	require.ErrorIs(t, err, payments.ErrNothingToRefund)
	w.requireBooks()
}

// The customer's bank sends a refund back: it is visible, and can be asked for again.
func TestRefundThatFails(t *testing.T) {
	t.Parallel()
	for name, pending := range map[string]int{"after it succeeded": 0, "while it was pending": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b, p := w.paid(0)
			w.stripe.MakeRefundsPending(pending)
			w.refund(p, 0, "case 1")
			w.settle(1)
			require.Equal(t, payments.Refunded, w.payment(b.ID).Status())
			_, err := w.stripe.FailRefund(w.refundsOf(p)[0].StripeID, "expired_or_canceled_card")
			require.NoError(t, err)
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Equal(t, payments.Paid, w.payment(b.ID).Status(), "the money is back here")
			troubled, err := w.payments.RefundsNeedingAttention(t.Context())
			require.NoError(t, err)
			require.Len(t, troubled, 1)
			require.Equal(t, "expired_or_canceled_card", troubled[0].Failure)
			w.requireBooks()

			w.refund(p, 0, "case 1, again")
			w.settle(1)
			troubled, err = w.payments.RefundsNeedingAttention(t.Context())
			require.NoError(t, err)
			require.Empty(t, troubled, "another has taken its place")
			require.Equal(t, payments.Refunded, w.payment(b.ID).Status())
			w.requireBooks()
		})
	}
}
