package payments_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func refundCalls(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/v1/refunds"
}

func (w *world) tryRefunds() error {
	w.t.Helper()
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() WHERE status = 'due'`)
	payments.EndPause(w.payments)
	_, err := w.payments.SettleRefunds(w.t.Context())
	return err
}

// M2: The first call hangs, and its repeats get a 409 of either error type. One refund is
// made.
func TestSettleRefunds_KeyInUse(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"invalid_request_error", "idempotency_error"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{stripe: stripetest.Options{KeyInUseType: kind},
				opts: payments.Options{Timeout: time.Second}})
			_, p := w.paid(0)
			w.refund(p, 1000, "case 1")
			hang := w.stripe.Fault(refundCalls, stripetest.HangDuring, 1)
			t.Cleanup(hang.Release)
			for range 3 {
				require.ErrorIs(t, w.tryRefunds(), payments.ErrUnavailable)
			}
			require.Equal(t, 1, hang.Fired())
			require.Equal(t, payments.RefundDue, w.refundsOf(p)[0].Status)
			require.Equal(t, "idempotency_key_in_use", w.refundsOf(p)[0].LastError)
			hang.Release()
			// The key is in use until the first call's response is stored.
			require.Eventually(t, func() bool { return w.tryRefunds() == nil }, 10*time.Second, 10*time.Millisecond)
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Equal(t, stripetest.Money{Captured: price, Refunded: 1000}, w.stripe.Balance()["eur"])
			w.requireBooks()
		})
	}
}

type stripeAnswer struct {
	status            int
	kind, code, param string
	replayed, html    bool
}

func (a stripeAnswer) write(w http.ResponseWriter) {
	if a.replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	// The library repeats some calls after a pause.
	w.Header().Set("Stripe-Should-Retry", "false")
	w.WriteHeader(a.status)
	if a.html {
		_, _ = fmt.Fprint(w, "<html>")
		return
	}
	_, _ = fmt.Fprintf(w, `{"error":{"type":%q,"code":%q,"param":%q,"message":"no"}}`, a.kind, a.code, a.param)
}

// interceptor answers matching calls until it is off, and records their keys.
type interceptor struct {
	mu    sync.Mutex
	match func(*http.Request) bool
	with  *stripeAnswer
	keys  map[string]int
}

func (i *interceptor) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !i.match(r) {
			next.ServeHTTP(w, r)
			return
		}
		i.mu.Lock()
		with := i.with
		i.keys[r.Header.Get("Idempotency-Key")]++
		i.mu.Unlock()
		if with == nil {
			next.ServeHTTP(w, r)
			return
		}
		with.write(w)
	})
}

func (i *interceptor) set(a *stripeAnswer) {
	i.mu.Lock()
	i.with = a
	i.mu.Unlock()
}

func (i *interceptor) seen() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.keys)
}

// M2: By status and code, whatever the error's type.
func TestSettleRefunds_Answers(t *testing.T) {
	t.Parallel()
	const invalid, idempotency = "invalid_request_error", "idempotency_error"
	const same, next, failed = "same key", "next key", "failed"
	cases := map[string]struct {
		answer stripeAnswer
		want   string
	}{
		"409 in use": {stripeAnswer{status: 409, kind: invalid, code: "idempotency_key_in_use"},
			same},
		"409 in use, idempotency": {stripeAnswer{status: 409, kind: idempotency, code: "idempotency_key_in_use"},
			same},
		"409 without a code": {stripeAnswer{status: 409, kind: idempotency}, same},
		"409 replayed":       {stripeAnswer{status: 409, kind: idempotency, replayed: true}, same},
		"400 in use": {stripeAnswer{status: 400, kind: idempotency, code: "idempotency_key_in_use"},
			same},
		"404":                {stripeAnswer{status: 404, kind: invalid, code: "resource_missing"}, same},
		"404 without a code": {stripeAnswer{status: 404, kind: invalid}, same},
		"404 replayed": {stripeAnswer{status: 404, kind: invalid, code: "resource_missing",
			replayed: true}, same},
		"400 missing": {stripeAnswer{status: 400, kind: invalid, code: "resource_missing",
			param: "payment_intent"}, same},
		"401":                      {stripeAnswer{status: 401, kind: invalid}, same},
		"403":                      {stripeAnswer{status: 403, kind: invalid}, same},
		"429":                      {stripeAnswer{status: 429, kind: invalid, code: "rate_limit"}, same},
		"429 lock":                 {stripeAnswer{status: 429, kind: invalid, code: "lock_timeout"}, same},
		"500":                      {stripeAnswer{status: 500, kind: "api_error"}, same},
		"500 replayed":             {stripeAnswer{status: 500, kind: "api_error", replayed: true}, next},
		"500 of other parameters":  {stripeAnswer{status: 500, kind: idempotency}, same},
		"503 by a proxy":           {stripeAnswer{status: 503, html: true}, same},
		"403 by a proxy":           {stripeAnswer{status: 403, html: true}, same},
		"418, which is not listed": {stripeAnswer{status: 418, kind: invalid}, same},
		"400 of other parameters":  {stripeAnswer{status: 400, kind: idempotency}, next},
		"400 too little balance":   {stripeAnswer{status: 400, kind: invalid, code: "balance_insufficient"}, next},
		"402":                      {stripeAnswer{status: 402, kind: "card_error"}, next},
		"400 disputed":             {stripeAnswer{status: 400, kind: invalid, code: "charge_disputed"}, next},
		"400 not refundable": {stripeAnswer{status: 400, kind: invalid, code: "charge_not_refundable"},
			failed},
		"400 which is not listed":      {stripeAnswer{status: 400, kind: invalid}, failed},
		"400 amount, against the list": {stripeAnswer{status: 400, kind: invalid, param: "amount"}, next},
	}
	// One database for all cases, each with a payment of its own.
	between := &interceptor{match: refundCalls, keys: map[string]int{}}
	w := newWorld(t, setup{wrap: between.wrap})
	nth, refundsFailed := 0, 0
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w.t = t
			_, p := w.paid(nth)
			nth++
			w.refund(p, 1000, "case 1")
			keysBefore, madeBefore := between.seen(), len(w.stripe.Refunds())
			// A call with other parameters has ended after fifteen minutes.
			w.exec(`UPDATE booking_platform.refunds
				SET first_called_at = statement_timestamp() - interval '20 minutes'`)
			between.set(&c.answer)
			err := w.tryRefunds()
			r := w.refundsOf(p)[0]
			if c.want == failed {
				require.NoError(t, err)
				require.Equal(t, payments.RefundFailed, r.Status)
				refundsFailed++
				require.Equal(t, refundsFailed, w.backlog().RefundsFailed.Count)
				return
			}
			require.ErrorIs(t, err, payments.ErrUnavailable)
			require.Equal(t, payments.RefundDue, r.Status)
			require.NotEmpty(t, r.LastError)
			between.set(nil)
			require.NoError(t, w.tryRefunds())
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			keys := map[string]int{same: 1, next: 2}
			require.Equal(t, keys[c.want], between.seen()-keysBefore)
			require.Len(t, w.stripe.Refunds(), madeBefore+1)
			w.requireBooks()
		})
	}
}

// M2: The key is kept until a call with other parameters must have ended.
func TestSettleRefunds_KeyUsedWithOtherParameters(t *testing.T) {
	t.Parallel()
	between := &interceptor{match: refundCalls, keys: map[string]int{}}
	w := newWorld(t, setup{wrap: between.wrap})
	_, p := w.paid(0)
	w.refund(p, 1000, "case 1")
	between.set(&stripeAnswer{status: 400, kind: "idempotency_error"})
	for range 3 {
		require.Error(t, w.tryRefunds())
	}
	require.Equal(t, 1, between.seen())
	w.exec(`UPDATE booking_platform.refunds SET first_called_at = statement_timestamp() - interval '20 minutes'`)
	require.Error(t, w.tryRefunds())
	between.set(nil)
	require.NoError(t, w.tryRefunds())
	require.Equal(t, 2, between.seen())
	require.Len(t, w.stripe.Refunds(), 1)
}

// M2: A refund that Stripe refused here, but that exists, counts: a retry does not pay it
// twice.
func TestSettleRefunds_FailedHereMadeAtStripe(t *testing.T) {
	t.Parallel()
	between := &interceptor{match: refundCalls, keys: map[string]int{}}
	w := newWorld(t, setup{wrap: between.wrap})
	_, p := w.paid(0)
	r := w.refund(p, 0, "case 1")
	between.set(&stripeAnswer{status: 400, kind: "invalid_request_error", code: "charge_not_refundable"})
	require.NoError(t, w.tryRefunds())
	require.Equal(t, payments.RefundFailed, w.refundsOf(p)[0].Status)
	require.Equal(t, http.StatusOK, w.send("evt_made", "refund.created", map[string]any{
		"id": "re_made", "object": "refund", "status": "succeeded", "amount": price, "currency": "eur",
		"payment_intent": p.PaymentIntentID, "metadata": map[string]string{"refund_id": r.ID, "payment_id": p.ID},
	}))
	require.Equal(t, payments.StatusRefunded, w.payment(p.BookingID).Status())
	again, err := w.payments.RetryRefund(t.Context(), r.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, payments.RefundSucceeded, again.Status)
	require.Len(t, w.refundsOf(p), 1)
}

// M16: A part was refunded in the dashboard while our refund of the whole is due. Ours
// takes the rest, whether those events come before or after.
func TestSettleRefunds_TakesWhatIsLeft(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]bool{"its event came": false, "its event is late": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			_, p := w.paid(0)
			w.refund(p, 1500, "case 1")
			w.refund(p, 0, "case 2")
			if hold {
				w.stripe.HoldDelivery()
			}
			_, err := w.stripe.RefundFromDashboard(p.SessionID, 300)
			require.NoError(t, err)
			if !hold {
				require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			}
			made, err := w.payments.SettleRefunds(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, made)
			if hold {
				_, err = w.stripe.ReleaseDelivery(t.Context(), nil)
				require.NoError(t, err)
			}
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Equal(t, stripetest.Money{Captured: price, Refunded: price}, w.stripe.Balance()["eur"])
			require.Equal(t, payments.StatusRefunded, w.payment(p.BookingID).Status())
			require.Zero(t, w.backlog().RefundsFailed)
			w.requireBooks()
		})
	}
}

// Stripe sends a refund's event before the response to the call: one row.
func TestSettleRefunds_EventBeforeAnswer(t *testing.T) {
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

// Stripe may have forgotten the key: the refund is looked up before another call.
func TestSettleRefunds_LookedUpBeforeForgottenKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	r := w.refund(p, 1000, "case 1")
	w.settle(1)
	// As if the process had died before storing the response, and no event had come.
	w.exec(`UPDATE booking_platform.refunds
		SET status = 'due', stripe_refund_id = NULL, next_try_at = statement_timestamp(),
		first_called_at = statement_timestamp() - interval '2 days' WHERE id = $1::uuid`, r.ID)
	w.stripe.Advance(48 * 3600e9)
	w.settle(1)
	require.Len(t, w.stripe.Refunds(), 1, "a second one would have been made with a new key")
	w.requireBooks()

	// One that was never made is made with another key.
	never := w.refund(p, 500, "case 2")
	w.exec(`UPDATE booking_platform.refunds SET first_called_at = statement_timestamp() - interval '2 days'
		WHERE id = $1::uuid`, never.ID)
	w.settle(1)
	require.Len(t, w.stripe.Refunds(), 2)
	w.requireBooks()
}

// All is refunded in the dashboard: ours is refused, and the committed sum stays right.
func TestSettleRefunds_RefundedInDashboardFirst(t *testing.T) {
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
	attention, err := w.payments.RefundsNeedingAttention(t.Context())
	require.NoError(t, err)
	require.Empty(t, attention, "refunded in full: nothing needs attention")
	require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 2"})
	require.ErrorIs(t, err, payments.ErrNothingToRefund)
	w.requireBooks()
}

// Whatever is lost on the way, there is one refund at Stripe.
func TestSettleRefunds_FailingCall(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(next http.Handler, w http.ResponseWriter, r *http.Request){
		"500 before the effect": func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
		},
		"500 after the effect": func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(disconnected{}, r)
			w.WriteHeader(http.StatusInternalServerError)
		},
		"reset after the effect": func(next http.Handler, _ http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(disconnected{}, r)
			panic(http.ErrAbortHandler)
		},
		"429": func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"HTML": func(_ http.Handler, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<html>bad gateway</html>"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			// The library repeats once, with the same key.
			left, failed := 2, 0
			w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					mu.Lock()
					now := r.Method == http.MethodPost && r.URL.Path == "/v1/refunds" && left > 0
					if now {
						left--
						failed++
					}
					mu.Unlock()
					if now {
						fail(next, rw, r)
						return
					}
					next.ServeHTTP(rw, r)
				})
			}})
			_, p := w.paid(0)
			w.refund(p, 0, "case 1")
			_, err := w.payments.SettleRefunds(t.Context())
			if err != nil {
				require.ErrorIs(t, err, payments.ErrUnavailable)
			}
			mu.Lock()
			require.Positive(t, failed, "the fault was seen")
			left = 0
			mu.Unlock()
			w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp()`)
			payments.EndPause(w.payments)
			_, err = w.payments.SettleRefunds(t.Context())
			require.NoError(t, err)
			require.NoError(t, w.stripe.WaitDelivered(t.Context()))
			require.Len(t, w.stripe.Refunds(), 1)
			require.Equal(t, payments.RefundSucceeded, w.refundsOf(p)[0].Status)
			require.Len(t, w.refundsOf(p), 1)
			w.requireBooks()
		})
	}
}

type disconnected struct{}
