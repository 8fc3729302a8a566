package payments_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments"
)

// Neither the response nor the URL, but what an operator needs; the wrapped error can be
// found.
func TestRedact_ErrorsOfCalls(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		says   string
		has    func(error) bool
	}{
		"Stripe's error": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Request-Id", "req_7")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":{"type":"invalid_request_error","code":"api_key_expired","param":"key",
				"message":"Quoted: sk_test_payments"}}`)
		}, "Stripe answered 401 invalid_request_error api_key_expired key req_7", func(err error) bool {
			se := (*stripe.Error)(nil)
			return errors.As(err, &se) && se.HTTPStatusCode == http.StatusUnauthorized
		}},
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "<html>Quoted: sk_test_payments</html>")
		}, "an answer with status 502 that is not from Stripe's API", nil},
		"a proxy's JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"message":"Quoted: sk_test_payments"}`)
		}, "an answer that is not from Stripe's API", nil},
		"an answer that ends too early": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"Quoted":"sk_test_payments`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "Get: EOF",
			func(err error) bool {
				ue, ne := (*url.Error)(nil), (net.Error)(nil)
				return errors.As(err, &ue) && errors.As(err, &ne) && errors.Is(err, io.EOF)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var failing atomic.Bool
			w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if failing.Load() {
						tc.answer(rw, r)
						return
					}
					next.ServeHTTP(rw, r)
				})
			}})
			c := w.checkout(w.hold(0))
			failing.Store(true)
			err := refreshSession(t.Context(), w.payments, c.SessionID)
			require.ErrorIs(t, err, payments.ErrUnavailable)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), secretKey)
			require.NotContains(t, err.Error(), "Quoted")
			require.NotContains(t, err.Error(), c.SessionID)
			require.True(t, tc.has == nil || tc.has(err), "%v", err)
		})
	}
}

// The error says that the database failed between two calls, with its SQLSTATE.
func TestRedact_DatabaseErrorIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/v1/refunds" {
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(rw, `{"error":{"type":"idempotency_error","message":"Quoted: sk_test_payments"}}`)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	b := w.hold(0)
	c := w.checkout(b)
	w.pay(c)
	_, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: c.PaymentID, Cause: "test"})
	require.NoError(t, err)
	// The call with other parameters, which uses the key, has ended by now.
	w.exec(`UPDATE booking_platform.refunds SET first_called_at = statement_timestamp() - interval '20 minutes'`)
	w.exec(`CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'
		USING ERRCODE = '53100'; END $$`)
	w.exec(`CREATE TRIGGER full_disk BEFORE UPDATE OF attempt ON booking_platform.refunds
		FOR EACH ROW EXECUTE FUNCTION public.full()`)
	_, err = w.payments.SettleRefunds(t.Context())
	var state interface{ SQLState() string }
	require.ErrorAs(t, err, &state)
	require.Equal(t, "53100", state.SQLState())
	require.ErrorContains(t, err, "move a refund to the next key")
	require.NotContains(t, err.Error(), secretKey)
}
