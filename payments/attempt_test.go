package payments_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments"
)

// A failure of its own that Stripe has stored is replayed under the same key for a day.
func TestStoredFailureIsNotReplayedForEver(t *testing.T) {
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
	// The first failure may hide a success, so the key stays; the second says that it is a stored one.
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	var se *stripe.Error
	require.ErrorAs(t, err, &se)
	require.Len(t, keys, 1)
	w.checkout(b)
	require.Len(t, keys, 2)
}

// fail makes the first creations of a session fail, after they have happened or before.
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

// The call never reached Stripe, and the end that was frozen for the session has come too near for Stripe meanwhile.
func TestCheckoutThatIsRepeatedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: fail(2, false)})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	w.exec(`UPDATE booking_platform.payments SET session_expires_at = statement_timestamp() + interval '29 minutes' WHERE booking_id = $1::uuid`, b.ID)
	c := w.checkout(b)
	s, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.Equal(t, s.ExpiresAt.Unix(), c.ExpiresAt.Unix())
}

// Another version of this program, which makes other bytes of the same row, has made the session whose answer was lost. Nobody knows its URL.
func TestKeyThatWasUsedWithOtherParameters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: fail(2, true)})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	w.exec(`UPDATE booking_platform.payments SET parameters = replace(parameters::text, 'Room', 'Hall')::json WHERE booking_id = $1::uuid`, b.ID)
	c := w.checkout(b)
	require.Len(t, w.stripe.Sessions(), 2)
	w.pay(c)
	require.Equal(t, payments.Paid, w.payment(b.ID).Status())
	require.Equal(t, c.SessionID, w.payment(b.ID).SessionID)
}

// An address that we accept and Stripe does not must not keep its customer from paying: Stripe's page asks for one.
func TestAddressThatStripeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || bytes.Contains(body, []byte("customer_email")) {
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = rw.Write([]byte(`{"error":{"type":"invalid_request_error","code":"email_invalid","param":"customer_email","message":"Invalid email address"}}`))
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
