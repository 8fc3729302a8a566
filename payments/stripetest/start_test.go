package stripetest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

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

// The handler is added after the start, at the default path or another, and verifies with
// the constant.
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

// When the test has ended, no handler runs and nothing listens.
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
