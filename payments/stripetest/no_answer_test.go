package stripetest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Nobody delivers: the one who pays is told so after ten seconds, and has paid. Time is
// the test's own, so nothing is waited for.
func TestPayEndsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := stripetest.New(stripetest.Options{SecretKey: secretKey, WebhookURL: "http://127.0.0.1:1/webhook",
			WebhookSecret: webhookSecret})
		require.NoError(t, err)
		form := url.Values{
			"mode": {"payment"}, "success_url": {"https://shop.example/success"}, "line_items[0][quantity]": {"1"},
			"line_items[0][price_data][currency]": {"eur"}, "line_items[0][price_data][unit_amount]": {"2500"},
			"line_items[0][price_data][product_data][name]": {"Studio"},
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/checkout/sessions",
			strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+secretKey)
		answer := httptest.NewRecorder()
		s.ServeHTTP(answer, r)
		require.Equal(t, http.StatusOK, answer.Code, answer.Body)
		var made struct{ ID string }
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &made))

		began := time.Now()
		paid, err := s.Pay(t.Context(), made.ID)
		require.ErrorIs(t, err, stripetest.ErrNoAnswer)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Equal(t, stripetest.Paid, paid.PaymentStatus)
	})
}
