package payments_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Stripe replays a stored 500 under the same key for a day.
func TestCheckout_StoredFailureTakesNextKey(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	keys := map[string]int{}
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			key := r.Header.Get("Idempotency-Key")
			mu.Lock()
			keys[key]++
			first, seen := len(keys) == 1, keys[key] > 1
			mu.Unlock()
			if !first {
				next.ServeHTTP(rw, r)
				return
			}
			if seen {
				rw.Header().Set("Idempotent-Replayed", "true")
			}
			rw.WriteHeader(http.StatusInternalServerError)
			_, _ = rw.Write([]byte(`{"error":{"type":"api_error","message":"stored"}}`))
		})
	}})
	b := w.hold(0)
	// The first failure may hide a success, so the key stays.
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	var se *stripe.Error
	require.ErrorAs(t, err, &se)
	require.Len(t, keys, 1)
	w.checkout(b)
	require.Len(t, keys, 2)
}

// fail makes the first creations fail, after or before their effect.
func fail(times int32, after bool) func(http.Handler) http.Handler {
	var failed atomic.Int32
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost || failed.Add(1) > times {
				next.ServeHTTP(rw, r)
				return
			}
			if after {
				next.ServeHTTP(httptest.NewRecorder(), r)
			}
			rw.WriteHeader(http.StatusBadGateway)
			_, _ = rw.Write([]byte("<html>502 Bad Gateway</html>"))
		})
	}
}

// The call never reached Stripe, and the stored end of the session is now too near.
func TestCheckout_RepeatedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: fail(2, false)})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	w.exec(`UPDATE booking_platform.payments SET session_expires_at = statement_timestamp() + interval '29 minutes'
		WHERE booking_id = $1::uuid`, b.ID)
	c := w.checkout(b)
	s, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.Equal(t, s.ExpiresAt.Unix(), c.ExpiresAt.Unix())
}

// Another version of this program, with other parameters, has created the session whose
// response was lost. Its URL is unknown.
func TestCheckout_KeyUsedWithOtherParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: fail(2, true)})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	w.exec(`UPDATE booking_platform.payments SET parameters = replace(parameters::text, 'Room', 'Hall')::json
		WHERE booking_id = $1::uuid`, b.ID)
	c := w.checkout(b)
	require.Len(t, w.stripe.Sessions(), 2)
	w.pay(c)
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
	require.Equal(t, c.SessionID, w.payment(b.ID).SessionID)
}

// An address that Stripe refuses must not prevent the payment: Stripe's page asks for
// one.
func TestCheckout_EmailStripeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || bytes.Contains(body, []byte("customer_email")) {
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = rw.Write([]byte(`{"error":{"type":"invalid_request_error","code":"email_invalid",
					"param":"customer_email","message":"Invalid email address"}}`))
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			next.ServeHTTP(rw, r)
		})
	}})
	c := w.checkout(w.hold(0))
	s, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.Empty(t, s.CustomerEmail)
}

// M2, M24: By status and code, whatever the error's type.
func TestCheckout_Answers(t *testing.T) {
	t.Parallel()
	const invalid, idempotency = "invalid_request_error", "idempotency_error"
	for name, c := range map[string]struct {
		answer stripeAnswer
		err    error
		keys   int
	}{
		"409 in use": {stripeAnswer{status: 409, kind: invalid, code: "idempotency_key_in_use"},
			payments.ErrUnavailable, 1},
		"409 in use, idempotency": {stripeAnswer{status: 409, kind: idempotency, code: "idempotency_key_in_use"},
			payments.ErrUnavailable, 1},
		"409 replayed": {stripeAnswer{status: 409, kind: idempotency, replayed: true}, payments.ErrUnavailable, 1},
		"400 in use": {stripeAnswer{status: 400, kind: idempotency, code: "idempotency_key_in_use"},
			payments.ErrUnavailable, 1},
		"429":              {stripeAnswer{status: 429, kind: invalid, code: "rate_limit"}, payments.ErrUnavailable, 1},
		"500":              {stripeAnswer{status: 500, kind: "api_error"}, payments.ErrUnavailable, 1},
		"500, idempotency": {stripeAnswer{status: 500, kind: idempotency}, payments.ErrUnavailable, 1},
		"500 replayed":     {stripeAnswer{status: 500, kind: "api_error", replayed: true}, payments.ErrUnavailable, 3},
		"503 by a proxy":   {stripeAnswer{status: 503, html: true}, payments.ErrUnavailable, 1},
		"403 by a proxy":   {stripeAnswer{status: 403, html: true}, payments.ErrUnavailable, 1},
		"400 too small": {stripeAnswer{status: 400, kind: invalid, code: "amount_too_small"}, payments.ErrRefused,
			1},
		"400 currency": {stripeAnswer{status: 400, kind: invalid, param: "line_items[0][price_data][currency]"},
			payments.ErrRefused, 1},
		"401": {stripeAnswer{status: 401, kind: invalid}, payments.ErrRefused, 1},
		"403": {stripeAnswer{status: 403, kind: invalid}, payments.ErrRefused, 1},
		"404": {stripeAnswer{status: 404, kind: invalid, code: "resource_missing"}, payments.ErrRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			between := &interceptor{match: func(r *http.Request) bool { return r.Method == http.MethodPost },
				keys: map[string]int{}}
			// A key in use is repeated until the time limit.
			w := newWorld(t, setup{wrap: between.wrap, opts: payments.Options{Timeout: 2 * time.Second}})
			b := w.hold(0)
			between.set(&c.answer)
			_, err := w.payments.Checkout(t.Context(), b.ID)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.keys, between.seen())
			require.False(t, errors.Is(err, payments.ErrUnavailable) && errors.Is(err, payments.ErrRefused))
			require.NotContains(t, err.Error(), "no\"")
			between.set(nil)
			w.checkout(b)
			require.Len(t, w.stripe.Sessions(), 1)
		})
	}
}

// A double click makes the browser drop its first request. That is no reason to release
// the hold: the second is about to get its session.
func TestCheckout_CallerDisconnects(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, leave := context.WithCancel(t.Context())
	var calls atomic.Int32
	w := newWorld(t, setup{
		opts: payments.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))},
		wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					// The server notices a disconnect once it has read the body.
					_, _ = io.Copy(io.Discard, r.Body)
					leave()
					<-r.Context().Done()
					return
				}
				next.ServeHTTP(rw, r)
			})
		},
	})
	b := w.hold(0)
	_, err := w.payments.Checkout(ctx, b.ID)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, payments.ErrUnavailable)
	require.Empty(t, log.String())
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	require.NotEmpty(t, w.checkout(b).URL)
}

// The process that calls Stripe may die before the response. Others must not wait for it.
func TestCheckout_FirstCallerDied(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			// More often than the library repeats.
			if calls.Add(1) <= 3 {
				rw.WriteHeader(http.StatusConflict)
				_,
					_ = rw.Write([]byte(`{"error":{"type":"idempotency_error","code":"idempotency_key_in_use",
						"message":"under way"}}`))
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	require.NotEmpty(t, w.checkout(w.hold(0)).URL)
}

// Of two concurrent callers one releases the slot while the other's call is at Stripe.
// The session then created must not be paid.
func TestCheckout_AbandonedDuringCall(t *testing.T) {
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
	require.Equal(t, booking.StatusCancelled, w.status(b.ID))
	require.Equal(t, payments.StatusFailed, w.payment(b.ID).Status())
	require.Empty(t, w.payment(b.ID).URL)
}

func (w *world) lock(query, id string) {
	w.t.Helper()
	tx, err := w.db.Begin()
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = tx.Rollback() })
	var got string
	require.NoError(w.t, tx.QueryRow(query, id).Scan(&got))
}

// The time limit covers the database too.
func TestCheckout_TimeoutBeforeCall(t *testing.T) {
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
	require.NoError(t, ctx.Err(), "it did not wait for the caller's timeout")
}

// Storing Stripe's response may take the rest of the limit, at least a second.
func TestCheckout_TimeoutAfterCall(t *testing.T) {
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

// Another server answers 200 at Stripe's address.
func TestCheckout_AnswerIsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_,
				_ = rw.Write([]byte(`{"ok":true}`))
		})
	}})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Empty(t, w.payment(b.ID).SessionID)
}

// Stripe created the session, and the response was lost.
func TestCheckout_LostAnswer(t *testing.T) {
	t.Parallel()
	var lost atomic.Int32
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			// More often than the library repeats.
			if r.Method == http.MethodPost && lost.Add(1) <= 3 {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(rw, r)
		})
	}})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	c := w.checkout(b)
	require.Len(t, w.stripe.Sessions(), 1)
	require.Equal(t, w.stripe.Sessions()[0].ID, c.SessionID)
}

func TestAbandon_UnlessSessionIsKnown(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				rw.WriteHeader(http.StatusBadGateway)
				_, _ = rw.Write([]byte("<html>502 Bad Gateway</html>"))
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	known := w.hold(0)
	w.checkout(known)
	down.Store(true)
	b := w.hold(1)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	for range 2 {
		require.NoError(t, w.payments.Abandon(t.Context(), b.ID))
		require.NoError(t, w.payments.Abandon(t.Context(), known.ID))
	}
	require.Equal(t, booking.StatusCancelled, w.status(b.ID))
	require.Equal(t, payments.StatusFailed, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusPending, w.status(known.ID), "the customer may be at its page")
	w.hold(1) // the slot is free again
}
