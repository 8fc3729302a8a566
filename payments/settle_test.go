package payments_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

var transfer = payments.Settlement{Cause: "bank transfer 42", Actor: "user:ada"}

// failedRefund is of a part that the bank has returned.
func (w *world) failedRefund(nth int) (payments.Payment, payments.Refund) {
	w.t.Helper()
	_, p := w.paid(nth)
	w.refund(p, 1000, "case 1")
	w.settle(1)
	_, err := w.stripe.FailRefund(w.refundsOf(p)[0].StripeID, "lost_or_stolen_card")
	require.NoError(w.t, err)
	w.delivered()
	_, err = w.payments.RefreshRefunds(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, 1, w.backlog().RefundsFailed.Count)
	return p, w.refundsOf(p)[0]
}

func (w *world) lastNote(bookingID string) booking.Change {
	w.t.Helper()
	history, err := w.bookings.History(w.t.Context(), bookingID)
	require.NoError(w.t, err)
	return history[len(history)-1]
}

// Counted once, in the history, and not made at Stripe later, though more of the payment
// is left.
func TestRecordRefund_PaidInAnotherWay(t *testing.T) {
	t.Parallel()
	var seen []payments.TransitionKind
	w := newWorld(t, setup{opts: payments.Options{OnTransition: func(_ context.Context, _ payments.Tx,
		tr payments.Transition) error {
		seen = append(seen, tr.Kind)
		return nil
	}}})
	p, failed := w.failedRefund(0)
	seen = nil
	r, err := w.payments.RecordRefund(t.Context(), failed.ID, transfer)
	require.NoError(t, err)
	require.Equal(t, payments.RefundSucceeded, r.Status)
	require.EqualValues(t, 1000, r.Amount.Minor)
	require.Empty(t, r.StripeID)
	require.Equal(t, []string{"bank transfer 42", "user:ada"}, []string{r.Reason, r.Actor})
	require.Equal(t, []payments.TransitionKind{payments.TransitionRefunded}, seen)
	now := w.payment(p.BookingID)
	require.EqualValues(t, 1000, now.Refunded.Minor)
	require.Equal(t, payments.StatusPartiallyRefunded, now.Status())
	require.Zero(t, w.backlog())
	note := w.lastNote(p.BookingID)
	require.Equal(t, "refund of 10.00 EUR paid in another way: bank transfer 42", note.Reason)
	require.Equal(t, "user:ada", note.Actor)
	require.Equal(t, booking.StatusConfirmed, note.From)
	require.Equal(t, booking.StatusConfirmed, note.To)

	for _, id := range []string{failed.ID, r.ID} {
		again, err := w.payments.RecordRefund(t.Context(), id, transfer)
		require.NoError(t, err)
		require.Equal(t, r.ID, again.ID)
		retried, err := w.payments.RetryRefund(t.Context(), id, "operator")
		require.NoError(t, err)
		require.Equal(t, r.ID, retried.ID)
	}
	history, err := w.bookings.History(t.Context(), p.BookingID)
	require.NoError(t, err)
	require.Equal(t, note, history[len(history)-1], "a repeat adds nothing")
	w.resendAll()
	_, err = w.payments.DiscoverRefunds(t.Context())
	require.NoError(t, err)
	w.settle(0)
	require.EqualValues(t, 0, w.stripe.Balance()["eur"].Refunded)
	left, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "the rest"})
	require.NoError(t, err)
	require.EqualValues(t, price-1000, left.Amount.Minor)
	require.Len(t, seen, 2)
}

func TestRecordRefund_Refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	p, failed := w.failedRefund(0)
	due := w.refund(p, 500, "case 2")
	for _, c := range []struct {
		id   string
		s    payments.Settlement
		want error
	}{
		{"0193b3a0-0000-7000-8000-000000000000", transfer, payments.ErrNotFound},
		{"nonsense", transfer, payments.ErrNotFound},
		{due.ID, transfer, payments.ErrNotFailed},
	} {
		_, err := w.payments.RecordRefund(t.Context(), c.id, c.s)
		require.ErrorIs(t, err, c.want)
	}
	for _, cause := range []string{"", strings.Repeat("é", 401), "\u202e"} {
		_, err := w.payments.RecordRefund(t.Context(), failed.ID, payments.Settlement{Cause: cause})
		var invalid *booking.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.NotEmpty(t, invalid.Fields["cause"]+invalid.Fields["reason"])
	}
	w.settle(1)
	_, err := w.payments.RecordRefund(t.Context(), due.ID, transfer)
	require.ErrorIs(t, err, payments.ErrNotFailed, "Stripe has made it")
	w.refund(p, 0, "case 3")
	_, err = w.payments.RecordRefund(t.Context(), failed.ID, transfer)
	require.ErrorIs(t, err, payments.ErrNothingToRefund)
	w.dispute(p, "dp_1", "created", "needs_response", price)
	_, err = w.payments.RecordRefund(t.Context(), failed.ID, transfer)
	require.ErrorIs(t, err, payments.ErrDisputed)
}

// The customer gets the money once.
func TestRecordRefund_BesideRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	p, failed := w.failedRefund(0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { _, _ = w.payments.RecordRefund(t.Context(), failed.ID, transfer) })
		wg.Go(func() { _, _ = w.payments.RetryRefund(t.Context(), failed.ID, "operator") })
	}
	wg.Wait()
	_, err := w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	w.delivered()
	refunds := w.refundsOf(p)
	require.Len(t, refunds, 2)
	require.Equal(t, payments.RefundSucceeded, refunds[1].Status)
	require.EqualValues(t, 1000, w.payment(p.BookingID).Refunded.Minor)
}

// missing answers 404 for sessions while on.
func missing(on *bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if *on && strings.HasPrefix(r.URL.Path, "/v1/checkout/sessions/") {
				stripeAnswer{status: 404, kind: "invalid_request_error", code: "resource_missing"}.write(rw)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
}

func TestEndMissingSession_DeletedAtStripe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		delayed bool
		want    payments.Status
	}{
		"open": {false, payments.StatusExpired}, "delayed": {true, payments.StatusFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deleted := false
			w := newWorld(t, setup{wrap: missing(&deleted)})
			b := w.hold(0)
			checkout := w.checkout(b)
			if c.delayed {
				require.Equal(t, 200, w.send("evt_1", "checkout.session.completed",
					session(checkout, map[string]any{"payment_status": "unpaid"})))
			}
			_, err := w.payments.EndMissingSession(t.Context(), checkout.PaymentID, transfer)
			require.ErrorIs(t, err, payments.ErrSessionOpen)
			deleted = true
			w.exec(`UPDATE booking_platform.payments SET session_expires_at = statement_timestamp() - interval '1 hour'`)
			_, err = w.payments.ReconcilePayments(t.Context())
			require.ErrorIs(t, err, payments.ErrUnavailable)
			require.Equal(t, 1, w.backlog().Overdue.Count+w.backlog().Processing.Count)

			p, err := w.payments.EndMissingSession(t.Context(), checkout.PaymentID, transfer)
			require.NoError(t, err)
			require.Equal(t, c.want, p.Status())
			require.Zero(t, w.backlog())
			require.Equal(t, booking.StatusExpired, w.status(b.ID))
			require.Equal(t, "Checkout Session is gone: bank transfer 42", w.lastNote(b.ID).Reason)
			again, err := w.payments.EndMissingSession(t.Context(), checkout.PaymentID, transfer)
			require.NoError(t, err)
			require.Equal(t, p, again)

			// Its event came late after all.
			require.Equal(t, 200, w.send("evt_2", "checkout.session.async_payment_succeeded", session(checkout, nil)))
			require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
		})
	}
}

// Stripe knows the session after all: what it says is applied.
func TestEndMissingSession_PaidAtStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.stripe.HoldDelivery()
	b := w.hold(0)
	c := w.checkout(b)
	w.pay(c)
	p, err := w.payments.EndMissingSession(t.Context(), c.PaymentID, transfer)
	require.NoError(t, err)
	require.Equal(t, payments.StatusPaid, p.Status())
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
}

// A note on a cancelled booking does not move its cancellation: this customer paid
// afterwards and gets all of it back.
func TestNote_AfterCancellation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.halfAfter(300 * time.Hour)
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.NoError(t, err)
	w.exec(`UPDATE booking_platform.booking_history SET at = at - interval '1 hour'`)
	tx, err := w.db.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	bookings := w.bookings.Tx(tx)
	require.NoError(t, bookings.Note(t.Context(), b.ID, strings.Repeat("a", 600)))
	require.ErrorIs(t, bookings.Note(t.Context(), "0193b3a0-0000-7000-8000-000000000000", "x"), booking.ErrNotFound)
	require.ErrorIs(t, bookings.Note(t.Context(), "nonsense", "x"), booking.ErrNotFound)
	require.NoError(t, tx.Commit())
	note := w.lastNote(b.ID)
	require.Len(t, note.Reason, 500)
	require.Equal(t, booking.StatusCancelled, note.From)

	payload, err := json.Marshal(map[string]any{
		"id": "evt_late", "object": "event", "type": "checkout.session.completed", "api_version": stripetest.APIVersion,
		"created": time.Now().Add(-30 * time.Minute).Unix(), "data": map[string]any{"object": session(c, nil)},
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.sendRaw(payload))
	require.EqualValues(t, price, w.refundsOf(w.payment(b.ID))[0].Amount.Minor)
}
