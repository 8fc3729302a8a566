package faults_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
	"github.com/stretchr/testify/require"
)

// Another transaction holds FOR UPDATE, or locks in the opposite order: waits and retries
// are bounded, or the answer is 500.
func TestLocks_WaitDeadlockSerializationFailure(t *testing.T) {
	t.Parallel()
	t.Run("lock wait", lockWait)
	t.Run("deadlock", deadlock)
	t.Run("40001", serialization)
}

func (w *testEnv) transaction() *sql.Tx {
	w.t.Helper()
	tx, err := w.db.BeginTx(w.t.Context(), nil)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func (w *testEnv) lock(tx *sql.Tx, query, id string) {
	w.t.Helper()
	_, err := tx.ExecContext(w.t.Context(), query, id)
	require.NoError(w.t, err)
}

const (
	lockBooking = `SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`
	lockPayment = `SELECT id FROM booking_platform.payments WHERE id = $1::uuid FOR UPDATE`
)

// awaitWaiting waits until n connections wait for a lock.
func (w *testEnv) awaitWaiting(n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		var waiting int
		err := w.db.QueryRowContext(w.t.Context(),
			`SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == n
	}, patience, 5*time.Millisecond)
}

func lockWait(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second
	w := newEnv(t, setup{undelivered: true, webhook: webhook.Options{Timeout: limit}})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	tx := w.transaction()
	w.lock(tx, lockBooking, b.ID)
	start := time.Now()
	require.Equal(t, failed, w.deliver(0, ev.Payload))
	require.Less(t, time.Since(start), 10*limit, "in bounded time")
	w.faultOccurred(1)
	w.requireUnapplied(b)
	require.NotEqual(t, webhook.Processed, w.outcome(ev.ID))
	require.NoError(t, tx.Rollback())
	// The attempt has left the server, or will soon.
	require.Eventually(t, func() bool { return w.deliver(1, ev.Payload) == done(webhook.Processed) }, patience,
		10*time.Millisecond)
	w.requireOneEffect(b)
	w.checkInvariants()
}

// The event has locked the booking and needs the payment; another transaction has locked
// them in the opposite order. Postgres aborts one of the two.
func deadlock(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.pay(c)
	ev := w.event(c, completed)
	tx := w.transaction()
	w.lock(tx, lockPayment, c.PaymentID)
	answered := make(chan answer, 1)
	go func() { answered <- w.deliver(0, ev.Payload) }()
	w.awaitWaiting(1)
	if _, err := tx.ExecContext(t.Context(), lockBooking, b.ID); err == nil {
		// The other one was aborted and has begun again.
		require.NoError(t, tx.Commit())
	} else {
		// Postgres counts the deadlock when the aborted transaction ends.
		require.NoError(t, tx.Rollback())
	}
	select {
	case a := <-answered:
		require.Equal(t, done(webhook.Processed), a, "the event is processed whichever transaction was aborted")
	case <-time.After(patience):
		t.Fatal("no answer")
	}
	require.Eventually(t, func() bool {
		var n int
		err := w.db.QueryRowContext(t.Context(),
			`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&n)
		return err == nil && n > 0
	}, patience, 20*time.Millisecond, "no deadlock in Postgres's statistics")
	w.faultOccurred(1)
	w.requireOneEffect(b)
	w.checkInvariants()
}

// A serialization failure occurs twice, which the receiver retries, or every time. A
// statement that commits by itself is tried twice before.
func serialization(t *testing.T) {
	t.Parallel()
	for alone, attempts := range map[bool]int{true: 3, false: 5} {
		w := newEnv(t, setup{undelivered: true, alone: alone})
		b, c := w.checkedOut(0)
		w.pay(c)
		ev := w.event(c, completed)
		// Sequences also count in rolled-back transactions.
		w.exec(`CREATE SEQUENCE public.struck`)
		strike := func(times int) {
			w.exec(fmt.Sprintf(`CREATE OR REPLACE FUNCTION public.strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF nextval('public.struck') <= %d THEN RAISE EXCEPTION 'fight' USING ERRCODE = '40001'; END IF;
				RETURN NEW; END $$`, times))
		}
		strike(1000)
		w.exec(`CREATE TRIGGER strike BEFORE UPDATE ON booking_platform.payments
			FOR EACH ROW EXECUTE FUNCTION public.strike()`)
		require.Equal(t, failed, w.deliver(0, ev.Payload))
		w.requireUnapplied(b)
		var struck int
		require.NoError(t, w.db.QueryRowContext(context.Background(), `SELECT last_value FROM public.struck`).Scan(&struck))
		require.Equal(t, attempts, struck, "the number of attempts is bounded")
		w.faultOccurred(struck)
		// Twice more, and the third attempt of the redelivery, which finds a failed event and
		// so handles it alone, succeeds.
		strike(struck + 2)
		require.Equal(t, done(webhook.Processed), w.deliver(1, ev.Payload))
		w.requireOneEffect(b)
		w.checkInvariants()
	}
}

// The connection breaks after COMMIT, or the statement that commits by itself, was sent.
// After COMMIT the answer is 500, and the redelivery gets 200; after the statement the event
// is handled alone, and is a duplicate. There is one effect.
func TestCommit_AnswerLost(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprint("alone ", alone), func(t *testing.T) {
			t.Parallel()
			l := &link{}
			w := newEnv(t, setup{link: l, undelivered: true, alone: alone})
			b, c := w.checkedOut(0)
			w.pay(c)
			ev := w.event(c, completed)
			last, want := []byte("COMMIT"), failed
			if !alone {
				last, want = []byte(ev.ID), done(webhook.Duplicate)
			}
			var once sync.Once
			l.set(func(c *linked, sent []byte) {
				if c.ledger && bytes.Contains(sent, last) {
					once.Do(func() { c.lose.Store(true); w.faultOccurred(1) })
				}
			})
			require.Equal(t, want, w.deliver(0, ev.Payload), "the answer was lost")
			require.Equal(t, webhook.Processed, w.outcome(ev.ID), "a later failure record does not replace the success")
			require.Equal(t, done(webhook.Duplicate), w.deliver(1, ev.Payload))
			w.requireOneEffect(b)
			w.checkInvariants()
		})
	}
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

// A trigger raises for one id: 500 for that event, 200 for others.
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
