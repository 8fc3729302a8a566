package payments_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func (w *world) paid(nth int) (booking.Booking, payments.Payment) {
	w.t.Helper()
	b := w.hold(nth)
	w.pay(w.checkout(b))
	require.Equal(w.t, booking.StatusConfirmed, w.status(b.ID))
	return b, w.payment(b.ID)
}

func (w *world) refund(p payments.Payment, amount int64, cause string) payments.Refund {
	w.t.Helper()
	r, err := w.payments.Refund(w.t.Context(),
		payments.RefundRequest{PaymentID: p.ID, Amount: amount, Cause: cause, Reason: "rain", Actor: "user:ada"})
	require.NoError(w.t, err)
	return r
}

func (w *world) settle(want int) {
	w.t.Helper()
	made, err := w.payments.SettleRefunds(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, want, made)
	require.NoError(w.t, w.stripe.WaitDelivered(w.t.Context()))
}

func (w *world) refundsOf(p payments.Payment) []payments.Refund {
	w.t.Helper()
	refunds, err := w.payments.Refunds(w.t.Context(), p.ID)
	require.NoError(w.t, err)
	return refunds
}

// requireBooks: the stand-in has the same refunds with the same status and amount.
func (w *world) requireBooks() {
	w.t.Helper()
	rows, err := w.db.Query(`SELECT stripe_refund_id, status, amount_minor FROM booking_platform.refunds
		WHERE stripe_refund_id IS NOT NULL`)
	require.NoError(w.t, err)
	defer rows.Close()
	ours := map[string]string{}
	for rows.Next() {
		var id, status string
		var amount int64
		require.NoError(w.t, rows.Scan(&id, &status, &amount))
		ours[id] = fmt.Sprint(status, " ", amount)
	}
	require.NoError(w.t, rows.Err())
	theirs := map[string]string{}
	for _, r := range w.stripe.Refunds() {
		theirs[r.ID] = fmt.Sprint(r.Status, " ", r.Amount)
	}
	require.Equal(w.t, theirs, ours)
	var wrong int
	require.NoError(w.t, w.db.QueryRow(`
		SELECT count(*) FROM booking_platform.payments p
		WHERE p.refund_committed > p.captured_minor OR p.refunded_minor > p.refund_committed
		   OR p.refunded_minor <> (SELECT coalesce(sum(r.amount_minor), 0) FROM booking_platform.refunds r
		                           WHERE r.payment_id = p.id AND r.status IN ('pending', 'succeeded'))`).Scan(&wrong))
	require.Zero(w.t, wrong, "sums of refunds")
}

func TestRefund_InParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	first := w.refund(p, 1000, "case 1")
	require.Equal(t, payments.RefundDue, first.Status)
	require.Equal(t, first.ID, w.refund(p, 1000, "case 1").ID, "a double click")
	w.settle(1)
	w.settle(0)
	require.Equal(t, payments.StatusPartiallyRefunded, w.payment(p.BookingID).Status())

	_, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Amount: price, Cause: "case 2"})
	var tooLarge *payments.RefundTooLargeError
	require.ErrorAs(t, err, &tooLarge)
	require.EqualValues(t, price-1000, tooLarge.Left.Minor)

	rest := w.refund(p, 0, "case 3")
	require.EqualValues(t, price-1000, rest.Amount.Minor, "0 is all that is left")
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 4"})
	require.ErrorIs(t, err, payments.ErrNothingToRefund)
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(p.BookingID).Status())
	require.Equal(t, booking.StatusConfirmed, w.status(p.BookingID), "the booking is unchanged")
	require.Equal(t, stripetest.Money{Captured: price, Refunded: price}, w.stripe.Balance()["eur"])
	w.requireBooks()
	for _, r := range w.refundsOf(p) {
		require.Equal(t, payments.RefundSucceeded, r.Status)
		require.NotEmpty(t, r.StripeID)
		require.Equal(t, "rain", r.Reason)
	}
}

// M30.
func TestRefund_Refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	for name, test := range map[string]struct {
		req   payments.RefundRequest
		field string
		err   error
	}{
		"no payment": {payments.RefundRequest{Cause: "x"}, "", payments.ErrNotFound},
		"no id":      {payments.RefundRequest{PaymentID: "pay_1", Cause: "x"}, "", payments.ErrNotFound},
		"unknown": {payments.RefundRequest{PaymentID: "0193b3a0-0000-7000-8000-000000000000", Cause: "x"}, "",
			payments.ErrNotFound},
		"no cause": {payments.RefundRequest{PaymentID: p.ID}, "cause", nil},
		"negative": {payments.RefundRequest{PaymentID: p.ID, Cause: "x", Amount: -1}, "amount", nil},
		"long reason": {payments.RefundRequest{PaymentID: p.ID, Cause: "x", Reason: strings.Repeat("x", 501)}, "reason",
			nil},
		"hidden reason":     {payments.RefundRequest{PaymentID: p.ID, Cause: "x", Reason: "x\u202ey"}, "reason", nil},
		"a NUL in a cause":  {payments.RefundRequest{PaymentID: p.ID, Cause: "x\x00"}, "cause", nil},
		"no UTF-8 as actor": {payments.RefundRequest{PaymentID: p.ID, Cause: "x", Actor: "\xff"}, "actor", nil},
	} {
		_, err := w.payments.Refund(t.Context(), test.req)
		var invalid *booking.ValidationError
		if test.err != nil {
			require.ErrorIs(t, err, test.err, name)
			continue
		}
		require.ErrorAs(t, err, &invalid, name)
		require.Contains(t, invalid.Fields, test.field, name)
	}
	unpaid := w.hold(1)
	open := w.checkout(unpaid)
	_, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: open.PaymentID, Cause: "x"})
	require.ErrorIs(t, err, payments.ErrNothingToRefund)
	require.Empty(t, w.refundsOf(p))
}

func TestRefund_ConcurrentNotMoreThanPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := map[string]bool{}
	for i := range 32 {
		wg.Go(func() {
			// Pairs share a cause, so each refund is requested twice.
			r, err := w.payments.Refund(t.Context(),
				payments.RefundRequest{PaymentID: p.ID, Amount: 300, Cause: fmt.Sprint("case ", i/2)})
			var tooLarge *payments.RefundTooLargeError
			if errors.As(err, &tooLarge) {
				return
			}
			if mu.Lock(); err == nil {
				made[r.ID] = true
			} else {
				t.Error(err)
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	require.Len(t, made, price/300)
	// Several replicas settle them, and each is made once.
	var steps sync.WaitGroup
	for range 4 {
		steps.Go(func() {
			_, err := w.payments.SettleRefunds(t.Context())
			if err != nil {
				t.Error(err)
			}
		})
	}
	steps.Wait()
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	require.Equal(t, stripetest.Money{Captured: price, Refunded: price / 300 * 300}, w.stripe.Balance()["eur"])
	w.requireBooks()
}

func (disconnected) Header() http.Header { return http.Header{} }

func (disconnected) Write(b []byte) (int, error) { return len(b), nil }

func (disconnected) WriteHeader(int) {}

// M14: A caller's cause never equals one of this package or one that names a refund.
func TestRefund_CauseOfCallerAndOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, p := w.paid(0)
	for _, cause := range []string{
		payments.CauseCancelled, payments.ReasonLate, payments.ReasonCancelled, payments.ReasonPaidTwice, "stripe:re_1",
	} {
		require.Equal(t, payments.OriginRequest, w.refund(p, 100, cause).Origin)
	}
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "ill"})
	require.NoError(t, err)
	own := map[payments.RefundOrigin]int64{}
	for _, r := range w.refundsOf(p) {
		own[r.Origin] += r.Amount.Minor
	}
	require.Equal(t, map[payments.RefundOrigin]int64{payments.OriginRequest: 500, payments.OriginPayments: price - 500},
		own)
	made, err := w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 6, made)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	require.Equal(t, stripetest.Money{Captured: price, Refunded: price}, w.stripe.Balance()["eur"])
	w.requireBooks()
}

// M14: A caller's "stripe:" does not cancel the booking, as a refund from the dashboard
// does, and a caller's "retry:" replaces no failed refund.
func TestRefund_CauseWithReservedPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, p := w.paid(0)
	w.refund(p, 0, "stripe:re_1")
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))

	_, q := w.paid(1)
	w.stripe.MakeRefundsPending(1)
	first := w.refund(q, 1000, "case 1")
	w.refund(q, 100, "retry:"+first.ID)
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() + interval '1 hour'
		WHERE cause LIKE 'retry:%'`)
	w.settle(1)
	_, err := w.stripe.CancelRefund(w.refundsOf(q)[0].StripeID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	again, err := w.payments.RetryRefund(t.Context(), first.ID, "operator")
	require.NoError(t, err)
	require.EqualValues(t, 1000, again.Amount.Minor)
}

// M14: Neither caller gets the other's refund.
func TestRefund_CauseWithAnotherAmount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	w.refund(p, 500, "case 1")
	for _, amount := range []int64{0, 2000} {
		_, err := w.payments.Refund(t.Context(),
			payments.RefundRequest{PaymentID: p.ID, Amount: amount, Cause: "case 1"})
		var invalid *booking.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.Contains(t, invalid.Fields["cause"], "5.00 EUR")
	}
	require.Len(t, w.refundsOf(p), 1)
}
