package faults_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// One event 50 times over 3 hosts: one ledger row, one effect.
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

// After 3 days, older than the tolerance, replayed: 200 without effect, or 400 without a
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

// With two signatures, and with old and new secret configured: 200; a retired secret:
// 400.
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
