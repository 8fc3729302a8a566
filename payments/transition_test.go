package payments_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// outbox writes a row for each transition, so that a rollback removes it.
func outbox(ctx context.Context, tx payments.Tx, t payments.Transition) error {
	refund := sql.NullString{}
	if t.Refund != nil {
		refund = sql.NullString{String: t.Refund.ID, Valid: true}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO outbox (kind, payment, refund, line) VALUES ($1, $2, $3, $4)`,
		string(t.Kind), t.Payment.ID, refund, fmt.Sprintf("%s %d of %d: %s %s", t.Kind, t.Amount.Minor,
			t.Payment.Refunded.Minor, t.Payment.Status(), t.Booking.Status))
	return err
}

// outboxSQL is outbox for plain payments.
const outboxSQL = `INSERT INTO outbox (kind, payment, line)
SELECT 'paid', p.payment_id::text, 'paid ' || p.amount_minor || ' of 0: paid confirmed' FROM paid p`

// withOutbox is a world with an outbox, in which plain payments are settled by one
// statement, unless s has a hook of its own.
func withOutbox(t *testing.T, s setup) *world {
	t.Helper()
	if s.db == nil {
		s.db = testdb.New(t)
	}
	_, err := s.db.Exec(`CREATE TABLE outbox
		(id bigserial PRIMARY KEY, kind text, payment text, refund text, line text)`)
	require.NoError(t, err)
	if s.opts.OnTransition == nil {
		s.opts.OnTransition, s.opts.OnPaidSQL = outbox, outboxSQL
	}
	s.tellsBookings(t)
	w := newWorld(t, s)
	w.payments.RegisterBatch(w.receiver)
	return w
}

// requireTransitions compares the transitions since the last call, in order.
func (w *world) requireTransitions(want ...string) {
	w.t.Helper()
	rows, err := w.db.Query(`WITH taken AS (DELETE FROM outbox RETURNING id, line) SELECT line FROM taken ORDER BY id`)
	require.NoError(w.t, err)
	defer rows.Close()
	got := []string{}
	for rows.Next() {
		var s string
		require.NoError(w.t, rows.Scan(&s))
		got = append(got, s)
	}
	require.NoError(w.t, rows.Err())
	require.Equal(w.t, append([]string{}, want...), got)
}

// transitionsOf lists the kinds of a payment's transitions, sorted.
func (w *world) transitionsOf(payment string) []string {
	w.t.Helper()
	var all sql.NullString
	require.NoError(w.t,
		w.db.QueryRow(`SELECT string_agg(kind, ' ' ORDER BY kind COLLATE "C") FROM outbox WHERE payment = $1`,
			payment).Scan(&all))
	return strings.Fields(all.String)
}

func (w *world) reconcile() {
	w.t.Helper()
	w.endSessions()
	_, err := w.payments.ReconcilePayments(w.t.Context())
	require.NoError(w.t, err)
}

// resendAll repeats every event so far, under its id and under another.
func (w *world) resendAll() {
	w.t.Helper()
	for _, e := range w.stripe.Events() {
		_, err := w.stripe.Resend(w.t.Context(), e.ID, 1)
		require.NoError(w.t, err)
		twin := strings.Replace(string(e.Payload), e.ID, e.ID+"_twin", 1)
		require.Equal(w.t, http.StatusOK, w.sendRaw([]byte(twin)))
	}
}

// Each change is reported once, with the state at that moment, although every event is
// repeated under its id and another.
func TestTransition_ByWebhook(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	paid := w.hold(0)
	c := w.checkout(paid)
	w.pay(c)
	w.requireTransitions("paid 2500 of 0: paid confirmed")

	delayed := w.checkout(w.hold(1))
	_, err := w.stripe.PayDelayed(t.Context(), delayed.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("processing 0 of 0: processing pending")
	_, err = w.stripe.SettlePayment(delayed.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("paid 2500 of 0: paid confirmed")

	refused := w.checkout(w.hold(2))
	_, err = w.stripe.PayDelayed(t.Context(), refused.SessionID)
	require.NoError(t, err)
	_, err = w.stripe.FailPayment(refused.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("processing 0 of 0: processing pending", "failed 0 of 0: failed expired")

	_, err = w.stripe.Expire(w.checkout(w.hold(3)).SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("expired 0 of 0: expired expired")

	_, err = w.stripe.Dispute(delayed.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("disputed 0 of 0: disputed confirmed")
	_, err = w.stripe.CloseDispute(delayed.SessionID, true)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("dispute_closed 0 of 0: paid confirmed")

	_, err = w.stripe.RefundFromDashboard(c.SessionID, 1000)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("refunded 1000 of 1000: partially_refunded confirmed")
	_, err = w.stripe.RefundFromDashboard(c.SessionID, 1500)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("refunded 1500 of 2500: refunded cancelled", "cancelled 0 of 2500: refunded cancelled")

	w.resendAll()
	w.requireTransitions()
}

// What reconciliation finds is reported like an event, and the late event reports
// nothing.
func TestTransition_ByReconciliation(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	w.stripe.HoldDelivery()
	c := w.checkout(w.hold(0))
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	w.reconcile()
	w.reconcile()
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	w.requireTransitions("paid 2500 of 0: paid confirmed")

	refused := w.checkout(w.hold(1))
	_, err = w.stripe.PayDelayed(t.Context(), refused.SessionID)
	require.NoError(t, err)
	_, err = w.stripe.FailPayment(refused.SessionID)
	require.NoError(t, err)
	_, err = w.stripe.Expire(w.checkout(w.hold(2)).SessionID)
	require.NoError(t, err)
	w.reconcile()
	w.requireTransitions("failed 0 of 0: failed expired", "expired 0 of 0: expired expired")

	_, err = w.stripe.ReleaseDelivery(t.Context(), nil)
	require.NoError(t, err)
	w.resendAll()
	w.requireTransitions()
}

// A cancellation with its refund, a refund by staff that fails, a hold that ends, an
// abandoned Checkout, and one whose process died.
func TestTransition_ByCallsAndSteps(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{stripe: stripetest.Options{PendingRefunds: true}})
	b := w.hold(0)
	c := w.checkout(b)
	w.pay(c)
	w.requireTransitions("paid 2500 of 0: paid confirmed")
	pay := w.payment(b.ID)
	for range 2 {
		_, err := w.payments.Refund(t.Context(),
			payments.RefundRequest{PaymentID: pay.ID, Amount: 500, Cause: "staff 1"})
		require.NoError(t, err)
	}
	w.requireTransitions("refund_due 500 of 0: paid confirmed")
	w.settle(1)
	w.requireTransitions("refunded 500 of 500: partially_refunded confirmed")
	_, err := w.stripe.FailRefund(w.stripe.Refunds()[0].ID, "expired_or_canceled_card")
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions("refund_failed 500 of 0: paid confirmed")
	for range 2 {
		_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Refund: new(int64(2000))})
		require.NoError(t, err)
	}
	w.requireTransitions("refund_due 2000 of 0: paid cancelled", "cancelled 0 of 0: paid cancelled")
	w.settle(1)
	w.requireTransitions("refunded 2000 of 2000: partially_refunded cancelled")
	_, err = w.stripe.SettleRefund(w.stripe.Refunds()[0].ID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.requireTransitions()

	ended := w.hold(1)
	w.checkout(ended)
	w.endHold(ended.ID)
	for range 2 {
		_, err = w.payments.ExpireSessions(t.Context())
		require.NoError(t, err)
	}
	w.requireTransitions("expired 0 of 0: expired expired")

	begun := w.hold(2)
	w.checkout(begun)
	w.exec(`UPDATE booking_platform.payments SET stripe_session_id = NULL WHERE booking_id = $1::uuid`, begun.ID)
	for range 2 {
		require.NoError(t, w.payments.Abandon(t.Context(), begun.ID))
	}
	w.requireTransitions("failed 0 of 0: failed cancelled")

	orphan := w.hold(3)
	w.checkout(orphan)
	w.exec(`UPDATE booking_platform.payments
		SET stripe_session_id = NULL, session_expires_at = statement_timestamp() - interval '1 second'
		WHERE booking_id = $1::uuid`, orphan.ID)
	for range 2 {
		_, err = w.payments.ExpireSessions(t.Context())
		require.NoError(t, err)
	}
	w.requireTransitions("expired 0 of 0: expired pending")
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.resendAll()
	w.requireTransitions()
}

// Money that cannot be applied is reported with its refund, or as parked.
func TestTransition_UnappliedMoney(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	w.requireTransitions()
	w.pay(c)
	w.requireTransitions("unapplied 2500 of 0: paid cancelled", "refund_due 2500 of 0: paid cancelled")
	w.settle(1)
	w.requireTransitions("refunded 2500 of 2500: refunded cancelled")

	other := w.checkout(w.hold(1))
	for _, id := range []string{"evt_1", "evt_2"} {
		require.Equal(t, http.StatusOK, w.send(id, "checkout.session.completed",
			session(other, map[string]any{"amount_total": 1})))
	}
	w.requireTransitions("parked 1 of 0: parked pending")
}

// A refund that Stripe refuses, and refunds that are read because only their sum was
// reported.
func TestTransition_RefundsRefusedAndRefreshed(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.pay(c)
	w.stripe.HoldDelivery()
	_, err := w.payments.Refund(t.Context(),
		payments.RefundRequest{PaymentID: w.payment(b.ID).ID, Amount: 2000, Cause: "staff"})
	require.NoError(t, err)
	_, err = w.stripe.RefundFromDashboard(c.SessionID, 2500)
	require.NoError(t, err)
	w.requireTransitions("paid 2500 of 0: paid confirmed", "refund_due 2000 of 0: paid confirmed")
	_, _ = w.payments.SettleRefunds(t.Context())
	w.requireTransitions("refund_failed 2000 of 0: paid confirmed")
	for range 2 {
		_, err = w.payments.RefreshRefunds(t.Context())
		require.NoError(t, err)
	}
	w.requireTransitions("refunded 2500 of 2500: refunded cancelled", "cancelled 0 of 2500: refunded cancelled")
}

// A hook's error rolls the change back, whatever its source; the next attempt makes it
// and reports it once.
func TestTransition_HookFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("the outbox is full")
	var full atomic.Bool
	w := withOutbox(t, setup{opts: payments.Options{OnTransition: func(ctx context.Context, tx payments.Tx,
		tr payments.Transition) error {
		if err := outbox(ctx, tx, tr); err != nil {
			return err
		}
		if full.Load() {
			return failure
		}
		return nil
	}}})
	w.stripe.HoldDelivery()
	full.Store(true)
	b := w.hold(0)
	c := w.checkout(b)
	at, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	paid := session(c, map[string]any{"payment_intent": at.PaymentIntentID})
	require.Equal(t, http.StatusInternalServerError, w.send("evt_1", "checkout.session.completed", paid))
	require.ErrorIs(t, refreshSession(t.Context(), w.payments, c.SessionID), failure)
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status())
	w.requireTransitions()
	full.Store(false)
	require.Equal(t, http.StatusOK, w.send("evt_1", "checkout.session.completed", paid))
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	w.requireTransitions("paid 2500 of 0: paid confirmed")

	full.Store(true)
	pay := w.payment(b.ID)
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: pay.ID, Cause: "staff"})
	require.ErrorIs(t, err, failure)
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.ErrorIs(t, err, failure)
	refunds, err := w.payments.Refunds(t.Context(), pay.ID)
	require.NoError(t, err)
	require.Empty(t, refunds)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	w.requireTransitions()
	full.Store(false)
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: pay.ID, Amount: 700, Cause: "staff"})
	require.NoError(t, err)
	w.requireTransitions("refund_due 700 of 0: paid confirmed")

	// Stripe made the refund, but storing that failed: the repeat finds it.
	full.Store(true)
	_, err = w.payments.SettleRefunds(t.Context())
	require.ErrorIs(t, err, failure)
	full.Store(false)
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp()`)
	_, err = w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Len(t, w.stripe.Refunds(), 1)
	w.requireTransitions("refunded 700 of 700: partially_refunded confirmed")

	full.Store(true)
	ended, begun := w.hold(1), w.hold(2)
	w.checkout(ended)
	w.checkout(begun)
	w.endHold(ended.ID)
	_, err = w.payments.ExpireSessions(t.Context())
	require.ErrorIs(t, err, failure)
	require.Equal(t, payments.StatusOpen, w.payment(ended.ID).Status())
	w.exec(`UPDATE booking_platform.payments SET stripe_session_id = NULL WHERE booking_id = $1::uuid`, begun.ID)
	require.ErrorIs(t, w.payments.Abandon(t.Context(), begun.ID), failure)
	require.Equal(t, payments.StatusOpen, w.payment(begun.ID).Status())
	w.requireTransitions()
}

func TestTransition_HookCannotCommit(t *testing.T) {
	t.Parallel()
	var seen atomic.Int32
	w := withOutbox(t, setup{opts: payments.Options{OnTransition: func(ctx context.Context, tx payments.Tx,
		tr payments.Transition) error {
		seen.Add(1)
		_, commits := any(tx).(interface{ Commit() error })
		_, rolls := any(tx).(interface{ Rollback() error })
		if commits || rolls {
			return errors.New("it can end the transaction")
		}
		return nil
	}}})
	b := w.hold(0)
	w.pay(w.checkout(b))
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	require.GreaterOrEqual(t, seen.Load(), int32(2), "by the webhook and by a call")
}

// Several sources at once make one change and report it once.
func TestTransition_ConcurrentSourcesOnce(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	w.stripe.HoldDelivery()
	c := w.checkout(w.hold(0))
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	done := make(chan string, 8)
	for i := range 8 {
		go func() {
			if i%2 == 0 {
				done <- fmt.Sprint(refreshSession(context.Background(), w.payments, c.SessionID))
				return
			}
			status := w.send(fmt.Sprintf("evt_%d", i), "checkout.session.completed",
				session(c, map[string]any{"payment_intent": "pi_1"}))
			done <- http.StatusText(status)
		}()
	}
	for range 8 {
		select {
		case got := <-done:
			require.Contains(t, []string{"<nil>", "OK"}, got)
		case <-time.After(time.Minute):
			require.Fail(t, "more remain")
		}
	}
	w.requireTransitions("paid 2500 of 0: paid confirmed")
}
