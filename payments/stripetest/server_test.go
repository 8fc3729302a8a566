package stripetest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Sessions, events and idempotency keys are bounded, since a development host runs for
// weeks.
func TestServer_ForgetsTheOldest(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	s.Keep(3)
	var ids []string
	for _, key := range []string{"a", "b", "c", "d"} {
		sess, err := s.sessions.New(keyed(key))
		require.NoError(t, err)
		ids = append(ids, sess.ID)
		_, err = s.Server.Expire(sess.ID)
		require.NoError(t, err)
	}
	require.Len(t, s.Sessions(), 3)
	require.Len(t, s.Events(), 3)
	_, err := s.Session(ids[0])
	require.ErrorIs(t, err, stripetest.ErrNotFound)

	remembered, err := s.sessions.New(keyed("d"))
	require.NoError(t, err)
	require.Equal(t, ids[3], remembered.ID)
	forgotten, err := s.sessions.New(keyed("a"))
	require.NoError(t, err)
	require.NotEqual(t, ids[0], forgotten.ID)
}

func TestRun_ExpiresSessions(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	now := newClock()
	s := start(t, stripetest.Options{WebhookURL: r.url, Now: now.Now})
	s.LookAgain(time.Millisecond)
	s.run(t)
	params := order()
	params.ExpiresAt = stripe.Int64(now.Now().Add(31 * time.Minute).Unix())
	short, err := s.sessions.New(params)
	require.NoError(t, err)
	long := s.create(t)

	// Without a call about the session, Run reads the clock.
	now.Add(31 * time.Minute)
	d := r.next(t)
	ev, err := webhook.ConstructEventWithTolerance(d.body, d.signature, webhookSecret, time.Hour)
	require.NoError(t, err)
	require.Equal(t, stripe.EventTypeCheckoutSessionExpired, ev.Type)
	require.Equal(t, short.ID, ev.GetObjectValue("id"))
	require.Equal(t, "expired", ev.GetObjectValue("status"))
	open, err := s.Session(long.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Open, open.Status)
	require.Len(t, s.Events(), 1)
}

// Even without Run, a session past its end is not shown as open and cannot be paid.
func TestServer_ExpiredSessionIsNeverOpen(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	s.Advance(24*time.Hour + time.Second)
	got, err := s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusExpired, got.Status)
	_, err = s.Pay(within(t), sess.ID)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	require.Len(t, s.Events(), 1)
	require.Equal(t, "checkout.session.expired", s.Events()[0].Type)
}

// The receiver's clock has not moved: a signature with the advanced time would be in its
// future.
func TestAdvance_SignaturesKeepTheirTime(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	s.create(t)
	before := time.Now().Add(-time.Second)
	s.Advance(48 * time.Hour)
	d := r.next(t)
	_, err := webhook.ConstructEvent(d.body, d.signature, webhookSecret)
	require.NoError(t, err)
	require.NoError(t, s.WaitDelivered(within(t)))
	at := s.Events()[0].Attempts[0].At
	require.True(t, at.After(before) && at.Before(time.Now().Add(time.Second)), at)
	require.Panics(t, func() { s.Advance(-time.Second) })
}

func TestNew_InvalidOptions(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]stripetest.Options{
		"no key":             {},
		"live key":           {SecretKey: "sk_live_1"},
		"live restricted":    {SecretKey: "rk_live_1"},
		"no webhook secret":  {SecretKey: secretKey, WebhookURL: "http://localhost/webhook"},
		"relative webhook":   {SecretKey: secretKey, WebhookURL: "/webhook", WebhookSecret: webhookSecret},
		"relative public":    {SecretKey: secretKey, PublicURL: "/stripe"},
		"pause of nothing":   {SecretKey: secretKey, Backoff: []time.Duration{0}},
		"negative timeout":   {SecretKey: secretKey, DeliveryTimeout: -1},
		"public, not a page": {SecretKey: secretKey, PublicURL: "javascript:alert(1)"},
	} {
		_, err := stripetest.New(opts)
		require.Error(t, err, name)
	}
}
