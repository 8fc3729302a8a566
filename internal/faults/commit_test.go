package faults_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// The connection breaks after COMMIT was sent: answer 500, then the redelivery gets 200,
// with one effect.
func TestCommit_AnswerLost(t *testing.T) {
	t.Parallel()
	l := &link{}
	w := newEnv(t, setup{link: l, undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	var once sync.Once
	l.set(func(c *linked, sent []byte) {
		if c.ledger && bytes.Contains(sent, []byte("COMMIT")) {
			once.Do(func() { c.lose.Store(true); w.faultOccurred(1) })
		}
	})
	require.Equal(t, failed, w.deliver(0, ev.Payload), "the answer was lost")
	require.Equal(t, webhook.Processed, w.outcome(ev.ID), "a later failure record does not replace the success")
	require.Equal(t, done(webhook.Duplicate), w.deliver(1, ev.Payload))
	w.requireOneEffect(b)
	w.checkInvariants()
}

// A claims and rolls back, B claims and commits, then A records its failure: B's row
// stays processed, and the next delivery is a duplicate.
func TestCommit_FailedAttemptRecordedLate(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)

	l := &link{}
	a, err := webhook.New(l.open(t, w.url), []string{webhookSecret}, webhook.Options{})
	require.NoError(t, err)
	rolledBack, recording, goOn := false, make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	l.set(func(_ *linked, sent []byte) {
		mu.Lock()
		late := rolledBack && bytes.Contains(sent, []byte("payment_events"))
		mu.Unlock()
		if late {
			close(recording)
			<-goOn
		}
	})
	a.Handle(completed, func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		rolledBack = true
		return "", errors.New("this host fails")
	})
	w.hosts = append(w.hosts, &host{w.hosts[0].bookings, w.hosts[0].payments, a})
	answered := make(chan answer, 1)
	go func() { answered <- w.deliver(3, ev.Payload) }()
	select {
	case <-recording:
		w.faultOccurred(1)
	case <-time.After(patience):
		t.Fatal("no failure record is being written")
	}
	w.hosts = w.hosts[:3]
	require.Equal(t, done(webhook.Processed), w.deliver(1, ev.Payload))
	close(goOn)
	require.Equal(t, failed, <-answered)
	require.Equal(t, webhook.Processed, w.outcome(ev.ID))
	require.Equal(t, done(webhook.Duplicate), w.deliver(2, ev.Payload))
	w.requireOneEffect(b)
	w.checkInvariants()
}

// A trigger raises for one id: 500 for that event, 200 for the others.
func TestStatements_OneFails(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	bad, badCheckout := w.checkedOut(0)
	good, goodCheckout := w.checkedOut(1)
	w.exec(`CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		 BEGIN RAISE EXCEPTION 'refused'; END $$`)
	w.exec(`CREATE TRIGGER refuse BEFORE UPDATE ON booking_platform.payments
		FOR EACH ROW WHEN (NEW.id = '` + badCheckout.PaymentID + `') EXECUTE FUNCTION public.refuse()`)
	w.pay(badCheckout)
	w.pay(goodCheckout)
	w.requireOneEffect(good)
	w.requireUnapplied(bad)
	ev := w.event(badCheckout, completed)
	require.Equal(t, http.StatusInternalServerError, ev.Attempts[0].Status)
	require.False(t, ev.Delivered)
	require.Equal(t, webhook.Failed, w.outcome(ev.ID))
	w.faultOccurred(len(ev.Attempts))
	w.exec(`DROP TRIGGER refuse ON booking_platform.payments`)
	w.checkInvariants()
	w.requireOneEffect(bad)
	require.Equal(t, payments.StatusPaid, w.payment(bad).Status())
}
