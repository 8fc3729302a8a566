package stripetest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
	"github.com/stripe/stripe-go/v76/webhookendpoint"
)

// Bounded, since a development host runs for weeks.
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

// Even without Run.
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

// With the advanced time, a signature would be in the receiver's future.
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

// test is a test whose end is called.
type test struct {
	cleanups []func()
	failed   string
}

func (f *test) Helper()          {}
func (f *test) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }

func (f *test) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	panic(f)
}

func (f *test) end() {
	for i := len(f.cleanups) - 1; i >= 0; i-- {
		f.cleanups[i]()
	}
}

// The handler is added after the start, at the default path or another.
func TestStart_DeliversToTheHandler(t *testing.T) {
	t.Parallel()
	for path, opts := range map[string][]stripetest.Options{
		"/webhook":      nil,
		"/hooks/stripe": {{WebhookURL: "/hooks/stripe"}},
	} {
		mux := http.NewServeMux()
		s := stripetest.Start(t, mux, opts...)
		verified := make(chan error, 1)
		mux.HandleFunc("POST "+path, func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), stripetest.WebhookSecret)
			verified <- err
		})
		sess, err := client(s.URL(), stripetest.SecretKey).New(order())
		require.NoError(t, err)
		require.Contains(t, sess.URL, s.URL()+"/pay/")
		_, err = s.Pay(within(t), sess.ID)
		require.NoError(t, err)
		require.NoError(t, s.WaitDelivered(within(t)))
		require.NoError(t, <-verified)
	}
}

func TestStart_EndsWithItsTest(t *testing.T) {
	t.Parallel()
	f := &test{}
	entered, leave := make(chan struct{}), make(chan struct{})
	var running atomic.Bool
	f.Cleanup(func() { // After those of Start.
		if running.Load() {
			t.Error("it ended while a handler runs")
		}
	})
	s := stripetest.Start(f, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		running.Store(true)
		close(entered)
		<-leave
		// The handler works on until its server has begun to stop.
		for conn, err := net.Dial("tcp", r.Host); err == nil; conn, err = net.Dial("tcp", r.Host) {
			_ = conn.Close()
		}
		running.Store(false)
	}))
	f.Cleanup(func() { close(leave) })
	sess, err := client(s.URL(), stripetest.SecretKey).New(order())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = s.Pay(ctx, sess.ID) }()
	<-entered
	cancel()
	f.end()
	_, err = http.Get(s.URL())
	require.Error(t, err)
}

func TestStart_WrongOptions(t *testing.T) {
	t.Parallel()
	for says, start := range map[string]func(stripetest.TB){
		"the secret key is a live one": func(t stripetest.TB) {
			stripetest.Start(t, nil, stripetest.Options{SecretKey: "sk_live_1"})
		},
		"WebhookURL is a path": func(t stripetest.TB) {
			stripetest.Start(t, http.NotFoundHandler(), stripetest.Options{WebhookURL: "https://shop.example/webhook"})
		},
	} {
		f := &test{}
		require.PanicsWithValue(t, f, func() { start(f) })
		require.Contains(t, f.failed, says)
		f.end()
	}
}

// endpoints returns the listed endpoints.
func (s standIn) endpoints(t *testing.T) (all []*stripe.WebhookEndpoint) {
	t.Helper()
	params := &stripe.WebhookEndpointListParams{}
	params.Limit = stripe.Int64(1) // several pages
	it := webhookendpoint.Client{Key: secretKey, B: s.sessions.B}.List(params)
	for it.Next() {
		all = append(all, it.WebhookEndpoint())
	}
	require.NoError(t, it.Err())
	return all
}

func TestListEndpoints(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{WebhookEndpoints: []stripetest.WebhookEndpoint{
		{ID: "we_1", URL: "https://a.example/webhook", EnabledEvents: []string{"refund.created"},
			APIVersion: "2020-08-27", Disabled: true, Livemode: true},
		{URL: "https://b.example/webhook", EnabledEvents: []string{"*"}},
	}})
	got := s.endpoints(t)
	require.Len(t, got, 2, "the newest first")
	require.Regexp(t, `^we_\w{24}$`, got[0].ID)
	require.Equal(t, "enabled", got[0].Status)
	require.Empty(t, got[0].APIVersion)
	require.False(t, got[0].Livemode)
	require.Equal(t, "we_1", got[1].ID)
	require.Equal(t, "disabled", got[1].Status)
	require.Equal(t, []string{"refund.created"}, got[1].EnabledEvents)
	require.Equal(t, "2020-08-27", got[1].APIVersion)
	require.Equal(t, "https://a.example/webhook", got[1].URL)
	require.True(t, got[1].Livemode)
	require.Empty(t, got[1].Secret)

	require.Empty(t, start(t, stripetest.Options{}).endpoints(t))
	own := start(t, stripetest.Options{WebhookURL: "http://127.0.0.1:1/webhook"}).endpoints(t)
	require.Len(t, own, 1)
	require.Equal(t, "http://127.0.0.1:1/webhook", own[0].URL)
}
