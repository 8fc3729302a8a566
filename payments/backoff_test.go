package payments_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// After a Retry-After no step of this process calls Stripe; a customer's Checkout does.
func TestBackoff_StepsPauseForRetryAfter(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lost}, wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { calls.Add(1); next.ServeHTTP(rw, r) })
	}})
	var paid []string
	for i := range 3 {
		b := w.hold(i)
		_, err := w.stripe.Pay(t.Context(), w.checkout(b).SessionID)
		require.NoError(t, err)
		paid = append(paid, b.ID)
	}
	w.reconcile()
	due := w.hold(3)
	w.checkout(due)
	w.endHold(due.ID)
	for _, id := range paid {
		_, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: w.payment(id).ID, Cause: "staff"})
		require.NoError(t, err)
	}
	w.exec(`UPDATE booking_platform.payments SET refunds_unknown = 1, leased_until = NULL WHERE captured_minor > 0`)
	steps := []func(context.Context) (int, error){
		w.payments.SettleRefunds, w.payments.RefreshRefunds, w.payments.ExpireSessions, w.payments.ReconcilePayments,
		func(ctx context.Context) (int, error) { return w.payments.FetchUndelivered(ctx, w.receiver) },
	}
	f := w.stripe.Fault(func(r *http.Request) bool { return r.URL.Path == "/v1/refunds" }, stripetest.TooMany, 100)
	before := calls.Load()
	_, err := steps[0](t.Context())
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Equal(t, stripetest.RetryAfter, payments.RetryAfter(err))
	require.Equal(t, before+1, calls.Load(), "only the first of three, once")
	for _, step := range steps {
		_, err := step(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, before+1, calls.Load())
	w.checkout(w.hold(4))
	require.Equal(t, before+2, calls.Load())

	f.Release()
	payments.EndPause(w.payments)
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp()`)
	for _, step := range steps {
		_, err := step(t.Context())
		require.NoError(t, err)
	}
	require.Len(t, w.stripe.Refunds(), 3, "the steps resume")
}

func TestBackoff_EveryStepPausesTheOthers(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lost}, wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { calls.Add(1); next.ServeHTTP(rw, r) })
	}})
	paid, expired, open := w.hold(0), w.hold(1), w.hold(2)
	for _, b := range []booking.Booking{paid, open} {
		_, err := w.stripe.Pay(t.Context(), w.checkout(b).SessionID)
		require.NoError(t, err)
	}
	_, err := w.payments.RefreshSession(t.Context(), w.payment(paid.ID).SessionID)
	require.NoError(t, err)
	w.checkout(expired)
	w.endHold(expired.ID)
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: w.payment(paid.ID).ID, Cause: "staff"})
	require.NoError(t, err)
	steps := map[string]func(context.Context) (int, error){
		"SettleRefunds": w.payments.SettleRefunds, "RefreshRefunds": w.payments.RefreshRefunds,
		"ExpireSessions": w.payments.ExpireSessions, "ReconcilePayments": w.payments.ReconcilePayments,
		"DiscoverRefunds": w.payments.DiscoverRefunds, "DiscoverDisputes": w.payments.DiscoverDisputes,
		"FetchUndelivered": func(ctx context.Context) (int, error) {
			return w.payments.FetchUndelivered(ctx, w.receiver)
		},
	}
	for name, step := range steps {
		w.exec(`UPDATE booking_platform.payments SET refunds_unknown = 1, leased_until = NULL,
			session_expires_at = statement_timestamp() - interval '1 minute'`)
		w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp()`)
		f := w.stripe.Fault(nil, stripetest.TooMany, 1000)
		_, err := step(t.Context())
		require.ErrorIs(t, err, payments.ErrUnavailable, name)
		before := calls.Load()
		for other, step := range steps {
			_, err := step(t.Context())
			require.NoError(t, err, "%s after %s", other, name)
		}
		require.Equal(t, before, calls.Load(), name)
		f.Release()
		payments.EndPause(w.payments)
	}
}

// A call is not repeated early, neither by the library nor by us.
func TestBackoff_CheckoutIsNotRepeatedEarly(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"Stripe's own": `{"error":{"type":"api_error","message":"later"}}`,
		"a spent key":  `{"error":{"type":"idempotency_error","message":"later"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			w := newWorld(t, setup{wrap: func(http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					calls.Add(1)
					rw.Header().Set("Retry-After", "7")
					rw.Header().Set("Stripe-Should-Retry", "true")
					rw.WriteHeader(http.StatusServiceUnavailable)
					_, _ = rw.Write([]byte(body))
				})
			}})
			_, err := w.payments.Checkout(t.Context(), w.hold(0).ID)
			require.ErrorIs(t, err, payments.ErrUnavailable)
			require.EqualValues(t, 1, calls.Load())
			require.Equal(t, 7*time.Second, payments.RetryAfter(err))
		})
	}
}

func TestBackoff_RetryAfterIsBounded(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]time.Duration{
		"": 0, "0": 0, "-1": 0, "soon": 0, "12": 12 * time.Second, "86400": time.Hour, "9223372036854775807": time.Hour,
	} {
		require.Equal(t, want, payments.ReadRetryAfter(http.Header{"Retry-After": {said}}), said)
	}
	require.Zero(t, payments.RetryAfter(nil))
}

// M23: A Retry-After for a page or a Checkout pauses no step; one for a page pauses
// pages.
func TestBackoff_PageAndCheckoutPauseNoStep(t *testing.T) {
	t.Parallel()
	var busy atomic.Bool
	var refused atomic.Int32
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !busy.Load() || r.URL.Path == "/v1/refunds" {
				next.ServeHTTP(rw, r)
				return
			}
			refused.Add(1)
			rw.Header().Set("Retry-After", "600")
			rw.WriteHeader(http.StatusTooManyRequests)
			_, _ = rw.Write([]byte(`{"error":{"type":"invalid_request_error","code":"rate_limit","message":"later"}}`))
		})
	}})
	_, p := w.paid(0)
	w.refund(p, 0, "case 1")
	open, other := w.checkout(w.hold(1)), w.checkout(w.hold(2))
	busy.Store(true)
	require.ErrorIs(t, refreshSession(t.Context(), w.payments, open.SessionID), payments.ErrUnavailable)
	require.NoError(t, refreshSession(t.Context(), w.payments, other.SessionID))
	require.EqualValues(t, 1, refused.Load(), "pages pause for the Retry-After")
	_, err := w.payments.Checkout(t.Context(), w.hold(3).ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.EqualValues(t, 2, refused.Load())
	w.settle(1)
	require.Len(t, w.stripe.Refunds(), 1)
}
