package faults_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
	"github.com/stretchr/testify/require"
)

// service is another program on the hosts' database with its own endpoint at Stripe: two
// replicas of one receiver, of which the old one has no handler for refunds.
type service struct {
	name     string
	db       *sql.DB
	replicas []*webhook.Receiver

	mu     sync.Mutex
	failed map[string]bool
}

var serviceTypes = []string{completed, "charge.refunded", "refund.created"}

// With fails, handlers fail once for each event.
func (w *testEnv) newService(name string, fails bool) *service {
	w.t.Helper()
	s := &service{name: name, db: testdb.Open(w.t, testdb.PQ, w.url), failed: map[string]bool{}}
	w.exec(`CREATE TABLE IF NOT EXISTS public.service_effects (service text NOT NULL, event_id text NOT NULL)`)
	handle := func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		_,
			err := tx.ExecContext(ctx,
			`INSERT INTO public.service_effects (service, event_id) VALUES ($1::text, $2::text)`, name, ev.ID)
		s.mu.Lock()
		defer s.mu.Unlock()
		if fails && !s.failed[ev.ID] && err == nil {
			s.failed[ev.ID] = true
			return "", errors.New("the first attempt fails")
		}
		return webhook.Processed, err
	}
	for _, types := range [][]string{serviceTypes[:1], serviceTypes} {
		r, err := webhook.New(s.db, []string{webhookSecret}, webhook.Options{Name: name})
		require.NoError(w.t, err)
		for _, eventType := range types {
			r.Handle(eventType, handle)
		}
		s.replicas = append(s.replicas, r)
	}
	w.services = append(w.services, s)
	return s
}

func (s *service) send(t *testing.T, replica int, e stripetest.Event) (status int) {
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(e.Payload))
	req.Header.Set("Stripe-Signature", stripetest.Sign(e.Payload, webhookSecret, time.Now()))
	rw := httptest.NewRecorder()
	s.replicas[replica].ServeHTTP(rw, req)
	return rw.Code
}

// Random replicas, until one answers 200, as Stripe does.
func (s *service) deliver(t *testing.T, e stripetest.Event) {
	for t.Context().Err() == nil && s.send(t, rand.IntN(len(s.replicas)), e) != http.StatusOK {
	}
}

// settle also retries failed events.
func (s *service) settle(t *testing.T) (settled int) {
	t.Helper()
	for _, r := range s.replicas {
		n, err := r.RetryWaiting(t.Context())
		if err != nil {
			require.ErrorContains(t, err, "the first attempt fails")
			n = 1
		}
		settled += n
	}
	return settled
}

func (s *service) truth(t *testing.T) faults.Receiver {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), `SELECT event_id FROM public.service_effects WHERE service = $1::text`,
		s.name)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	r := faults.Receiver{Name: s.name, Types: serviceTypes, Effects: []string{}}
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		r.Effects = append(r.Effects, id)
	}
	require.NoError(t, rows.Err())
	return r
}

// M1: Two receivers, one with an old and a new replica, share a ledger and have different
// handlers, with failures, duplicates and background steps. Each event takes effect once
// for each receiver with a handler.
func TestReceivers_OneLedger(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	shop, mail := w.newService("shop", true), w.newService("mail", false)
	_, p := w.paid(0)
	_, err := w.hosts[0].payments.Refund(t.Context(),
		payments.RefundRequest{PaymentID: p.ID, Amount: 1000, Cause: "rain"})
	require.NoError(t, err)
	w.settle()
	var all sync.WaitGroup
	events := w.stripe.Events()
	for _, e := range events {
		require.Equal(t, http.StatusOK, mail.send(t, 0, e),
			"the old replica gets every event first")
	}
	for range 3 {
		for _, e := range events {
			all.Go(func() { shop.deliver(t, e) })
			all.Go(func() { mail.deliver(t, e) })
		}
		for _, s := range w.services {
			all.Go(func() { _, _ = s.replicas[0].RetryWaiting(t.Context()) })
		}
		all.Go(func() { _, _ = w.hosts[0].receiver.RetryWaiting(t.Context()) })
	}
	all.Wait()
	w.faultOccurred(len(shop.failed))
	w.checkInvariants()

	for name, plant := range map[string]string{
		"an effect is missing": `DELETE FROM public.service_effects WHERE ctid = (SELECT max(ctid)
			FROM public.service_effects WHERE service = 'shop')`,
		"an effect occurred twice": `INSERT INTO public.service_effects SELECT service, event_id
			FROM public.service_effects
			WHERE service = 'mail' AND event_id = (SELECT max(event_id) FROM public.service_effects
				WHERE service = 'mail') LIMIT 1`,
	} {
		w.exec(plant)
		broken, err := faults.Broken(t.Context(), w.db, w.truth())
		require.NoError(t, err)
		require.NotEmpty(t, broken, name)
		for _, v := range broken {
			require.Equal(t, 2, v.Invariant.Number, v.String())
		}
	}
}

// 50 times over 3 hosts: one ledger row, one effect.
func TestDelivery_DuplicateStorm(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	answers := make([]answer, 50)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.deliver(i, ev.Payload) })
	}
	all.Wait()
	count := map[answer]int{}
	for _, a := range answers {
		count[a]++
	}
	require.Equal(t, map[answer]int{done(webhook.Processed): 1, done(webhook.Duplicate): 49}, count)
	w.faultOccurred(count[done(webhook.Duplicate)])
	var rows int
	require.NoError(t, w.db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM booking_platform.payment_events`).Scan(&rows))
	require.Equal(t, 1, rows)
	w.requireOneEffect(b)
	w.checkInvariants()
}

// Two event ids for one session and type, and completed with async_payment_succeeded: one
// effect.
func TestDelivery_TwoEventsOneSession(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	payloads := [][]byte{
		ev.Payload, w.withFields(ev.Payload, map[string]any{"id": "evt_twin"}),
		w.withFields(ev.Payload, map[string]any{"id": "evt_async", "type": "checkout.session.async_payment_succeeded"}),
	}
	var all sync.WaitGroup
	answers := make([]answer, 30)
	for i := range answers {
		all.Go(func() { answers[i] = w.deliver(i/3, payloads[i%3]) })
	}
	all.Wait()
	processed := 0
	for _, a := range answers {
		require.Equal(t, http.StatusOK, a.Status)
		if a.Outcome == webhook.Processed {
			processed++
		}
	}
	require.Equal(t, len(payloads), processed, "one row per event")
	w.faultOccurred(processed - 1)
	w.requireOneEffect(b)
	require.Empty(t, w.refunds(w.payment(b)))
	w.checkInvariants()
}

// Three days old, beyond the tolerance: replayed, 200 without effect, or 400 without a
// row.
func TestDelivery_LateOldReplayed(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	signature := stripetest.Sign(ev.Payload, webhookSecret, time.Now().Add(-10*time.Minute))
	old := answer{Status: http.StatusBadRequest, Error: string(webhook.ReasonTooOld)}
	require.Equal(t, old, w.send(0, ev.Payload, signature))
	require.Empty(t, w.outcome(ev.ID), "no row")
	w.requireUnapplied(b)
	require.Equal(t, done(webhook.Processed), w.deliver(1, ev.Payload))
	require.Equal(t, old, w.send(2, ev.Payload, signature), "replayed")

	before := w.payment(b)
	w.exec(`UPDATE booking_platform.payment_events
		SET received_at = received_at - interval '3 days', processed_at = processed_at - interval '3 days'`)
	w.stripe.Advance(72 * time.Hour)
	attempts, err := w.stripe.Resend(t.Context(), ev.ID, 2)
	require.NoError(t, err)
	for _, a := range attempts {
		require.Equal(t, http.StatusOK, a.Status, "3 days later")
		w.faultOccurred(1)
	}
	require.Equal(t, before, w.payment(b))
	w.requireOneEffect(b)
	w.checkInvariants()
}

// Two signatures, and old and new secret configured: 200; a retired secret: 400.
func TestDelivery_SecretRotation(t *testing.T) {
	t.Parallel()
	const next = "whsec_next"
	// One host for each stage: before, during, after.
	w := newEnv(t, setup{undelivered: true, secrets: [][]string{{webhookSecret}, {webhookSecret, next}, {next}}})
	sign := func(payload []byte, secrets ...string) string {
		header := ""
		for i, secret := range secrets {
			signed := stripetest.Sign(payload, secret, time.Now())
			if i > 0 {
				// With the same time, and one more signature.
				signed = signed[len("t=1234567890"):]
			}
			header += signed
		}
		return header
	}
	wrong := answer{Status: http.StatusBadRequest, Error: string(webhook.ReasonSignatureWrong)}
	for i, stage := range []struct {
		secrets []string
		want    [3]bool
	}{
		{[]string{webhookSecret}, [3]bool{true, true, false}},
		{[]string{webhookSecret, next}, [3]bool{true, true, true}},
		{[]string{next}, [3]bool{false, true, true}},
	} {
		for to, ok := range stage.want {
			b, c := w.checkedOut(3*i + to)
			w.pay(c)
			ev := w.event(c, completed)
			a := w.send(to, ev.Payload, sign(ev.Payload, stage.secrets...))
			if ok {
				require.Equal(t, done(webhook.Processed), a)
				w.requireOneEffect(b)
				continue
			}
			require.Equal(t, wrong, a)
			require.Empty(t, w.outcome(ev.ID))
			w.requireUnapplied(b)
			w.faultOccurred(1)
			require.Equal(t, done(webhook.Processed), w.send(1, ev.Payload, sign(ev.Payload, stage.secrets...)))
		}
	}
	w.checkInvariants()
}

// A valid signature: processed, and counted separately.
func TestDelivery_AnotherAPIVersion(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	require.Equal(t, done(webhook.Processed),
		w.deliver(0, w.withFields(ev.Payload, map[string]any{"api_version": "2031-01-01.yak"})))
	stats := w.hosts[0].receiver.Stats()
	require.EqualValues(t, 1, stats.OtherVersion)
	w.faultOccurred(int(stats.OtherVersion))
	w.requireOneEffect(b)
	w.checkInvariants()
}
