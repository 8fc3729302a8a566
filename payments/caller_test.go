package payments_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// A double click has the browser drop its first request. That caller has gone away, which
// is no failure of Stripe's and no reason to give the hold back: the second one is about
// to get its session.
func TestCallerWhoGoesAwayIsNoFailureOfStripe(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, leave := context.WithCancel(t.Context())
	var calls atomic.Int32
	w := newWorld(t, setup{
		opts: payments.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))},
		wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if calls.Add(1) == 1 {
					// The server notices that a client has gone once it has the whole
					// request.
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
	require.Equal(t, booking.Pending, w.status(b.ID))
	require.NotEmpty(t, w.checkout(b).URL)
}

// The host whose call is under way at Stripe may be dead by the time it is answered. Who
// waits for it must not wait for a row that nobody writes.
func TestCallUnderWayOfACallerWhoDied(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			// More often than the library tries by itself.
			if calls.Add(1) <= 3 {
				rw.WriteHeader(http.StatusConflict)
				_,
					_ = rw.Write([]byte(`{"error":{"type":"idempotency_error","code":"idempotency_key_in_use","message":"under way"}}`))
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	require.NotEmpty(t, w.checkout(w.hold(0)).URL)
}
