package faults_test

import (
	"cmp"
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const (
	secretKey     = "sk_test_faults"
	webhookSecret = "whsec_faults"
	price         = 2500
	// patience limits waits for things that should happen at once.
	patience = 60 * time.Second
)

var ada = booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"}

type host struct {
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
}

type testEnv struct {
	t        *testing.T
	url      string
	db       *sql.DB
	hosts    []*host
	stripe   *stripetest.Server
	resource booking.Resource
	setup    setup

	turn    atomic.Int64
	mu      sync.Mutex
	sent    []string                      // events sent by the test and answered 200
	made    map[string][]stripetest.Event // by session, where the test delivers
	calls   map[string]int
	telling sync.Mutex // stories run at Stripe one after the other
	fired   int
	checked bool

	services []*service
}

type setup struct {
	stripe      stripetest.Options
	opts        payments.Options
	webhook     webhook.Options
	secrets     [][]string // of each host; nil is the default one
	link        *link      // of the first host
	undelivered bool       // the stand-in does not deliver; the test does
	alone       bool       // plain events too have a transaction each
	pool        int        // connections of each host; 0 is 4
}

func newEnv(t *testing.T, s setup) *testEnv {
	t.Helper()
	url := testdb.URL(t)
	w := &testEnv{t: t, url: url, db: testdb.Open(t, testdb.PQ, url), calls: map[string]int{},
		made: map[string][]stripetest.Event{}}
	if s.undelivered {
		s.stripe.Deliver = w.keepEvent
	}
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hosts[int(w.turn.Add(1))%len(w.hosts)].receiver.ServeHTTP(rw, r)
	}))
	t.Cleanup(hook.Close)
	s.stripe.SecretKey, s.stripe.WebhookURL, s.stripe.WebhookSecret = secretKey, hook.URL, webhookSecret
	s.stripe.Backoff = []time.Duration{100 * time.Millisecond}
	var err error
	w.stripe, err = stripetest.New(s.stripe)
	require.NoError(t, err)
	api := httptest.NewServer(http.HandlerFunc(w.count))
	t.Cleanup(api.Close)
	s.opts.BaseURL = api.URL
	w.setup = s
	if s.secrets == nil {
		s.secrets = [][]string{{webhookSecret}, {webhookSecret}, {webhookSecret}}
	}
	for i, secrets := range s.secrets {
		db := testdb.Open(t, testdb.PQ, url)
		if i == 0 && s.link != nil {
			db = s.link.open(t, url)
		}
		db.SetMaxOpenConns(cmp.Or(s.pool, 4))
		db.SetMaxIdleConns(cmp.Or(s.pool, 4))
		w.hosts = append(w.hosts, newHost(t, db, secrets, s))
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.stripe.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
		if !w.checked && !t.Failed() {
			t.Error("the invariants were not checked")
		}
	})
	w.resource = w.newResource("court", 1)
	return w
}

func newHost(t *testing.T, db *sql.DB, secrets []string, s setup) *host {
	t.Helper()
	bookings, err := booking.New(db, booking.Options{Prepare: s.webhook.Prepare})
	require.NoError(t, err)
	receiver, err := webhook.New(db, secrets, s.webhook)
	require.NoError(t, err)
	p, err := payments.New(db, bookings, secretKey, "https://booking.example", s.opts)
	require.NoError(t, err)
	p.Register(receiver)
	if !s.alone {
		p.RegisterBatch(receiver)
	}
	return &host{bookings, p, receiver}
}

func (w *testEnv) newResource(slug string, capacity int) booking.Resource {
	w.t.Helper()
	r, err := w.hosts[0].bookings.CreateResource(w.t.Context(), booking.Resource{
		Slug: slug, Name: "Court", TimeZone: "Europe/Paris", Capacity: capacity, SlotLength: time.Hour,
		Price: booking.Money{Minor: price, Currency: "eur"},
	})
	require.NoError(w.t, err)
	return r
}

func (w *testEnv) keepEvent(e stripetest.Event) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id := cmp.Or(e.SessionID, e.IntentID); e.Type != "payment_intent.created" {
		w.made[id] = append(w.made[id], e)
	}
	return nil
}

// eventsOf takes a Checkout Session or adopted PaymentIntent.
func (w *testEnv) eventsOf(id string) []stripetest.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]stripetest.Event(nil), w.made[id]...)
}

func (w *testEnv) count(rw http.ResponseWriter, r *http.Request) {
	answer := &statusWriter{ResponseWriter: rw, status: http.StatusOK}
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.calls[r.Method+" "+r.URL.Path+" "+http.StatusText(answer.status)]++
	}()
	w.stripe.ServeHTTP(answer, r)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (w *testEnv) called(methodAndPath string, status int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[methodAndPath+" "+http.StatusText(status)]
}

func (w *testEnv) faultOccurred(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fired += n
}

// settle runs the steps of all hosts until nothing is left to do, retries that are not
// due included.
func (w *testEnv) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*patience)
	defer cancel()
	for done := 1; done > 0; {
		require.NoError(w.t, w.stripe.WaitDelivered(ctx))
		w.exec(`UPDATE booking_platform.payment_events SET retry_at = statement_timestamp()
			WHERE outcome IN ('failed', 'unmatched', 'ignored')`)
		w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() WHERE status = 'due'`)
		var all sync.WaitGroup
		var sum atomic.Int64
		for _, h := range w.hosts {
			all.Go(func() {
				for _, step := range []func(context.Context) (int, error){
					h.receiver.RetryWaiting, h.payments.ExpireSessions, h.payments.SettleRefunds,
					h.payments.RefreshRefunds,
				} {
					n, err := step(ctx)
					if err != nil {
						w.t.Error(err)
						cancel()
					}
					sum.Add(int64(n))
				}
			})
		}
		all.Wait()
		for _, s := range w.services {
			sum.Add(int64(s.settle(w.t)))
		}
		done = int(sum.Load())
	}
	require.NoError(w.t, w.stripe.WaitDelivered(ctx))
}

// truth adds what the test has sent.
func (w *testEnv) truth() faults.Truth {
	truth := faults.TruthOf(w.stripe)
	w.mu.Lock()
	defer w.mu.Unlock()
	truth.Answered = append(truth.Answered, w.sent...)
	for _, s := range w.services {
		truth.Receivers = append(truth.Receivers, s.truth(w.t))
	}
	return truth
}

// checkInvariants ends a test: the steps run, every invariant holds, money has moved, and
// the fault has occurred.
func (w *testEnv) checkInvariants() {
	w.t.Helper()
	w.settle()
	truth := w.truth()
	broken, err := faults.Broken(w.t.Context(), w.db, truth)
	require.NoError(w.t, err)
	require.Empty(w.t, broken)
	require.NotEmpty(w.t, truth.Charges, "no payment was made")
	require.Positive(w.t, w.fired, "the fault did not occur")
	w.checked = true
}

func (w *testEnv) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
}
