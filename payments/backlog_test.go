package payments_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func (w *world) backlog() payments.Backlog {
	w.t.Helper()
	b, err := w.payments.Backlog(w.t.Context())
	require.NoError(w.t, err)
	return b
}

func requireWaiting(t *testing.T, w payments.BacklogCount, count int, age time.Duration) {
	t.Helper()
	require.Equal(t, count, w.Count)
	if count == 0 {
		require.Zero(t, w)
		return
	}
	require.InDelta(t, age, w.Age, float64(time.Minute))
	require.Equal(t, time.UTC, w.Oldest.Location())
	require.WithinDuration(t, time.Now().Add(-age), w.Oldest, 5*time.Minute)
}

func TestBacklog_Payments(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		w := newWorld(t, setup{db: db})
		require.Zero(t, w.backlog())

		// Settled payments, and customers who still have time, do not count.
		w.paid(0)
		w.checkout(w.hold(1))
		late := w.checkout(w.hold(2))
		w.exec(`UPDATE booking_platform.payments SET session_expires_at = statement_timestamp() - interval '1 hour'
			WHERE id = $1::uuid`, late.PaymentID)
		processing := w.checkout(w.hold(3))
		require.Equal(t, 200, w.send("evt_processing", "checkout.session.completed",
			session(processing, map[string]any{"payment_status": "unpaid"})))
		parked := w.checkout(w.hold(4))
		require.Equal(t, 200, w.send("evt_parked", "checkout.session.completed",
			session(parked, map[string]any{"amount_total": price + 1})))
		_, disputed := w.paid(5)
		w.dispute(disputed, "dp_open", "created", "needs_response", price)
		_, won := w.paid(6)
		w.dispute(won, "dp_won", "closed", "won", price)
		_, heard := w.paid(7)
		w.exec(`UPDATE booking_platform.payments SET refunds_unknown = 1 WHERE id = $1::uuid`, heard.ID)
		w.exec(`UPDATE booking_platform.payments SET updated_at = statement_timestamp() - interval '2 hours'`)
		// A dispute that is over does not count, however old, nor does a later one.
		w.dispute(disputed, "dp_over", "closed", "warning_closed", price)
		w.dispute(disputed, "dp_new", "created", "needs_response", price)
		w.exec(`UPDATE booking_platform.disputes SET created_at = statement_timestamp() - CASE id
			WHEN 'dp_over' THEN interval '9 hours' WHEN 'dp_open' THEN interval '5 hours' ELSE interval '1 hour' END`)

		b := w.backlog()
		requireWaiting(t, b.Overdue, 1, time.Hour)
		requireWaiting(t, b.Processing, 1, 2*time.Hour)
		requireWaiting(t, b.Parked, 1, 2*time.Hour)
		requireWaiting(t, b.Disputed, 1, 5*time.Hour)
		requireWaiting(t, b.RefundsUnknown, 1, 2*time.Hour)
		require.Zero(t, b.RefundsDue)

		// An operator refunds the parked payment.
		p, err := w.payments.BySession(t.Context(), parked.SessionID)
		require.NoError(t, err)
		require.Equal(t, payments.StatusParked, p.Status())
		w.refund(p, 0, "staff")
		b = w.backlog()
		require.Zero(t, b.Parked)
		require.Equal(t, 1, b.RefundsDue.Count)
	})
}

func TestBacklog_Refunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	_, q := w.paid(1)
	w.refund(p, 1000, "case 1")
	w.refund(q, 0, "case 2")
	w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '3 hours'
		WHERE cause = 'case 1'`)
	b := w.backlog()
	requireWaiting(t, b.RefundsDue, 2, 3*time.Hour)
	require.Zero(t, b.RefundsStuck)
	w.exec(`UPDATE booking_platform.refunds SET tries = 3 WHERE cause = 'case 1'`)
	requireWaiting(t, w.backlog().RefundsStuck, 1, 3*time.Hour)

	w.settle(2)
	// The events of a refund may come before its response.
	_, err := w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Zero(t, w.backlog())
	_, err = w.stripe.FailRefund(w.refundsOf(p)[0].StripeID, "expired_or_canceled_card")
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	requireWaiting(t, w.backlog().RefundsFailed, 1, 0)

	w.refund(p, 999, "case 1, some of it")
	requireWaiting(t, w.backlog().RefundsFailed, 1, 0)
	w.refund(p, 1000, "case 1, again")
	b = w.backlog()
	require.Zero(t, b.RefundsFailed, "replaced by another refund")
	require.Equal(t, 2, b.RefundsDue.Count)
}

// A refund in the dashboard came first: ours has failed, and nothing waits.
func TestBacklog_RefundNotNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{KeepRefunded: true}})
	_, p := w.paid(0)
	w.refund(p, 1000, "case 1")
	_, err := w.stripe.RefundFromDashboard(p.SessionID, price)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '1 hour'
		WHERE cause LIKE 'stripe:%'`)
	w.settle(0)
	var failed string
	require.NoError(t,
		w.db.QueryRow(`SELECT cause FROM booking_platform.refunds WHERE status = 'failed'`).Scan(&failed))
	require.Equal(t, "case 1", failed)
	attention, err := w.payments.RefundsNeedingAttention(t.Context())
	require.NoError(t, err)
	require.Empty(t, attention)
	_, err = w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Zero(t, w.backlog())
}

// Only the few rows that wait are read.
func TestBacklog_UsesIndexes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	w := newWorld(t, setup{db: db})
	w.paid(0)
	for _, query := range []string{`
		INSERT INTO booking_platform.payments (id, booking_id, amount_minor, currency, parameters, session_expires_at,
		completed, captured_minor)
		SELECT gen_random_uuid(), b.id, 2500, 'eur', '{}', statement_timestamp(), true, 2500
		FROM booking_platform.bookings b, generate_series(1, 20000)`, `
		INSERT INTO booking_platform.refunds (id, payment_id, cause, amount_minor, currency, status)
		SELECT gen_random_uuid(), p.id, 'cancelled', 2500, 'eur', 'succeeded' FROM booking_platform.payments p`,
		`ANALYZE booking_platform.payments, booking_platform.refunds`,
	} {
		w.exec(query)
	}
	plan := w.explain(payments.BacklogSQL, "test")
	for _, index := range []string{"payments_waiting", "payments_attention", "payments_refunds_unknown", "refunds_due",
		"refunds_pending", "refunds_failed"} {
		require.Contains(t, plan, index)
	}
	require.NotContains(t, plan, "Seq Scan")
}

func (w *world) explain(query string, args ...any) string {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), `EXPLAIN `+query, args...)
	require.NoError(w.t, err)
	defer rows.Close()
	text := ""
	for rows.Next() {
		var line string
		require.NoError(w.t, rows.Scan(&line))
		text += line + "\n"
	}
	require.NoError(w.t, rows.Err())
	return text
}

// M18: A refund that is canceled, or fails after it had succeeded, needs attention,
// whether an event or a step found it. A pending one is counted, and listed if Stripe
// waits for the customer or it takes too long.
func TestBacklog_RefundsCanceledFailedAndPending(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]bool{"by event": true, "found": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			_, p := w.paid(0)
			_, q := w.paid(1)
			_, late := w.paid(2)
			if !event {
				w.stripe.HoldDelivery()
			}
			attention := func() (all []string) {
				refunds, err := w.payments.RefundsNeedingAttention(t.Context())
				require.NoError(t, err)
				for _, r := range refunds {
					all = append(all, r.PaymentID)
				}
				return all
			}
			hear := func() {
				if event {
					require.NoError(t, w.stripe.WaitDelivered(t.Context()))
					return
				}
				_, err := w.payments.DiscoverRefunds(t.Context())
				require.NoError(t, err)
				_, err = w.payments.RefreshRefunds(t.Context())
				require.NoError(t, err)
			}
			settle := func() {
				_, err := w.payments.SettleRefunds(t.Context())
				require.NoError(t, err)
				hear()
			}
			w.stripe.MakeRefundsRequireAction(1)
			w.refund(p, 0, "case 1")
			settle()
			require.Equal(t, 1, w.backlog().RefundsPending.Count)
			require.Equal(t, []string{p.ID}, attention(), "Stripe waits for the customer")
			require.Equal(t, "requires_action", w.refundsOf(p)[0].LastError)
			w.stripe.MakeRefundsPending(1)
			w.refund(late, 0, "case 2")
			settle()
			require.Equal(t, 2, w.backlog().RefundsPending.Count)
			require.Equal(t, []string{p.ID}, attention())
			w.refund(q, 0, "case 3")
			settle()
			require.Equal(t, payments.RefundSucceeded, w.refundsOf(q)[0].Status)

			_, err := w.stripe.CancelRefund(w.refundsOf(p)[0].StripeID)
			require.NoError(t, err)
			hear()
			require.Equal(t, payments.RefundCanceled, w.refundsOf(p)[0].Status)
			requireWaiting(t, w.backlog().RefundsFailed, 1, 0)
			require.Equal(t, []string{p.ID}, attention())
			_, err = w.stripe.FailRefund(w.refundsOf(q)[0].StripeID, "")
			require.NoError(t, err)
			hear()
			requireWaiting(t, w.backlog().RefundsFailed, 2, 0)
			require.Equal(t, []string{q.ID, p.ID}, attention())
			require.Equal(t, payments.StatusPaid, w.payment(p.BookingID).Status())
			w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '15 days'
				WHERE payment_id = $1::uuid`, late.ID)
			require.Contains(t, attention(), late.ID, "pending for too long")

			_, err = w.payments.RetryRefund(t.Context(), w.refundsOf(p)[0].ID, "operator")
			require.NoError(t, err)
			settle()
			requireWaiting(t, w.backlog().RefundsFailed, 1, 0)
		})
	}
}

// Parked payments with money, and disputed ones.
func TestNeedingAttention(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.paid(0)
	_, disputed := w.paid(1)
	_, err := w.stripe.Dispute(disputed.SessionID)
	require.NoError(t, err)
	b := w.hold(2)
	c := w.checkout(b)
	w.exec(`UPDATE booking_platform.payments SET amount_minor = amount_minor + 1 WHERE id = $1::uuid`, c.PaymentID)
	w.pay(c)
	ids := func() (ids []string) {
		attention, err := w.payments.NeedingAttention(t.Context())
		require.NoError(t, err)
		for _, p := range attention {
			ids = append(ids, p.ID)
		}
		return ids
	}
	// The stand-in does not wait for the events of disputes and refunds.
	await := func(want ...string) {
		t.Helper()
		require.NoError(t, w.stripe.WaitDelivered(t.Context()))
		require.Equal(t, want, ids())
	}
	await(c.PaymentID, disputed.ID)

	parked, err := w.payments.Get(t.Context(), c.PaymentID)
	require.NoError(t, err)
	require.Equal(t, payments.StatusParked, parked.Status())
	// A refunded one needs no decision.
	w.refund(parked, 0, "case 7")
	await(disputed.ID)
	_, err = w.stripe.CloseDispute(disputed.SessionID, true)
	require.NoError(t, err)
	await()

	for _, id := range []string{"", "x", uuid.NewString()} {
		_, err = w.payments.Get(t.Context(), id)
		require.ErrorIs(t, err, payments.ErrNotFound)
		_, err = w.payments.RetryRefund(t.Context(), id, "")
		require.ErrorIs(t, err, payments.ErrNotFound)
	}
}

// One that waits is tried at once, a failed one is replaced once, one that was made is
// left alone.
func TestRetryRefund_ByStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{PendingRefunds: true}})
	_, p := w.paid(0)
	due := w.refund(p, 500, "rain")
	w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() + interval '1 hour'`)
	w.settle(0)
	same, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, due.ID, same.ID)
	w.settle(1)

	made := w.refundsOf(p)[0]
	again, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, made, again, "it is pending")
	_, err = w.stripe.FailRefund(made.StripeID, "expired_or_canceled_card")
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	next, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, payments.Refund{Cause: "retry:" + due.ID, Actor: "operator", Amount: due.Amount,
		Status: payments.RefundDue},
		payments.Refund{Cause: next.Cause, Actor: next.Actor, Amount: next.Amount, Status: next.Status})
	repeat, err := w.payments.RetryRefund(t.Context(), due.ID, "operator")
	require.NoError(t, err)
	require.Equal(t, next.ID, repeat.ID, "a repeat makes no second one")
	w.settle(1)
	require.Len(t, w.refundsOf(p), 2)
	w.requireBooks()
}

// M16: After our refund of the whole failed, a part was refunded in the dashboard. A
// retry takes the rest, once, and can be retried.
func TestRetryRefund_TakesWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{PendingRefunds: true}})
	_, p := w.paid(0)
	r := w.refund(p, 0, "rain")
	fail := func(id string) {
		w.settle(1)
		for _, r := range w.refundsOf(p) {
			if r.ID == id {
				_, err := w.stripe.FailRefund(r.StripeID, "")
				require.NoError(t, err)
			}
		}
		require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	}
	fail(r.ID)
	_, err := w.stripe.RefundFromDashboard(p.SessionID, 1000)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	retry := func() payments.Refund {
		again, err := w.payments.RetryRefund(t.Context(), r.ID, "operator")
		require.NoError(t, err)
		require.EqualValues(t, price-1000, again.Amount.Minor)
		require.Equal(t, payments.RefundDue, again.Status)
		require.Equal(t, payments.OriginRetry, again.Origin)
		return again
	}
	first := retry()
	require.Equal(t, first.ID, retry().ID, "a repeat makes no second one")
	fail(first.ID)
	second := retry()
	require.NotEqual(t, first.ID, second.ID)
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(p.BookingID).Status())
	require.Zero(t, w.backlog().RefundsFailed)
	w.requireBooks()
}
