package stripetest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// After ten seconds of a synctest clock, and the session is paid.
func TestPay_NoAnswer(t *testing.T) {
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

func TestResend_DeliveredEvent(t *testing.T) {
	t.Parallel()
	const n = 10
	var all sync.WaitGroup
	all.Add(n)
	var first atomic.Bool
	r := receive(t, func(http.ResponseWriter, *http.Request) {
		if first.CompareAndSwap(false, true) {
			return
		}
		// Each is answered after all have arrived: they are sent concurrently.
		all.Done()
		all.Wait()
	})
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	_, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	e := s.Events()[0]
	attempts, err := s.Resend(within(t), e.ID, n)
	require.NoError(t, err)
	require.Len(t, attempts, n)
	for _, a := range attempts {
		require.True(t, a.OK(), a.Error)
	}
	require.Len(t, s.Events()[0].Attempts, n+1)
	_, err = s.Resend(within(t), "evt_none", 1)
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	require.ErrorIs(t, s.WaitDelivered(within(t), "evt_none"), stripetest.ErrNotFound)
}

func TestPay_WaitsForFirstAnswer(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		w.WriteHeader(http.StatusInternalServerError)
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Hour}}).run(t)
	sess := s.create(t)

	impatient, cancel := context.WithCancel(context.Background())
	paid := make(chan error, 1)
	go func() {
		_, err := s.Pay(impatient, sess.ID)
		paid <- err
	}()
	r.next(t)
	require.Empty(t, paid, "the webhook has no answer yet")
	cancel()
	require.ErrorIs(t, <-paid, context.Canceled)
	known, err := s.Session(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Paid, known.PaymentStatus, "the waiting ended, not the payment")

	other := s.create(t)
	go func() {
		_, err := s.Pay(context.Background(), other.ID)
		paid <- err
	}()
	r.next(t)
	close(answer)
	require.NoError(t, <-paid, "a 500 is an answer")
}
