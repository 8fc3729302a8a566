package payments_test

import (
	"database/sql"
	"testing"
	"time"

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

// requireWaiting wants so many that wait, the oldest for about so long.
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

func TestBacklogOfPayments(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		w := newWorld(t, setup{db: db})
		require.Zero(t, w.backlog())

		// What is settled, and what waits for its customer in time, is not counted.
		w.paid(0)
		w.checkout(w.hold(1))
		late := w.checkout(w.hold(2))
		w.exec(`UPDATE booking_platform.payments SET session_expires_at = statement_timestamp() - interval '1 hour' WHERE id = $1::uuid`, late.PaymentID)
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

		b := w.backlog()
		requireWaiting(t, b.Overdue, 1, time.Hour)
		requireWaiting(t, b.Processing, 1, 2*time.Hour)
		requireWaiting(t, b.Parked, 1, 2*time.Hour)
		requireWaiting(t, b.Disputed, 1, 2*time.Hour)
		requireWaiting(t, b.RefundsUnknown, 1, 2*time.Hour)
		require.Zero(t, b.RefundsDue)

		// A person gives the parked money back.
		p, err := w.payments.BySession(t.Context(), parked.SessionID)
		require.NoError(t, err)
		require.Equal(t, payments.Parked, p.Status())
		w.refund(p, 0, "staff")
		b = w.backlog()
		require.Zero(t, b.Parked)
		require.Equal(t, 1, b.RefundsDue.Count)
	})
}

func TestBacklogOfRefunds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, p := w.paid(0)
	_, q := w.paid(1)
	w.refund(p, 1000, "case 1")
	w.refund(q, 0, "case 2")
	w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '3 hours' WHERE cause = 'case 1'`)
	b := w.backlog()
	requireWaiting(t, b.RefundsDue, 2, 3*time.Hour)
	require.Zero(t, b.RefundsStuck)
	w.exec(`UPDATE booking_platform.refunds SET tries = 3 WHERE cause = 'case 1'`)
	requireWaiting(t, w.backlog().RefundsStuck, 1, 3*time.Hour)

	w.settle(2)
	// The events of a refund may come before the answer to its call.
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
	require.Zero(t, b.RefundsFailed, "another one has taken its place")
	require.Equal(t, 2, b.RefundsDue.Count)
}

// Somebody at Stripe has given everything back before our refund could: it has failed,
// and nothing waits.
func TestBacklogOfARefundThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{KeepRefunded: true}})
	_, p := w.paid(0)
	w.refund(p, 1000, "case 1")
	_, err := w.stripe.RefundFromDashboard(p.SessionID, price)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '1 hour' WHERE cause LIKE 'stripe:%'`)
	w.settle(0)
	var failed string
	require.NoError(t,
		w.db.QueryRow(`SELECT cause FROM booking_platform.refunds WHERE status = 'failed'`).Scan(&failed))
	require.Equal(t, "case 1", failed)
	troubled, err := w.payments.RefundsNeedingAttention(t.Context())
	require.NoError(t, err)
	require.Empty(t, troubled)
	_, err = w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Zero(t, w.backlog())
}

// What waits is few rows among many, and only those are read.
func TestBacklogUsesTheIndexes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	w := newWorld(t, setup{db: db})
	w.paid(0)
	for _, query := range []string{`
		INSERT INTO booking_platform.payments (id, booking_id, amount_minor, currency, parameters, session_expires_at, completed, captured_minor)
		SELECT gen_random_uuid(), b.id, 2500, 'eur', '{}', statement_timestamp(), true, 2500 FROM booking_platform.bookings b, generate_series(1, 20000)`, `
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

// explain is how Postgres would run a statement.
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

// M18: a refund that is canceled at Stripe, and one that fails after it had succeeded,
// wait for a person, whether the event came or the refund was found; one on its way is
// counted, and listed where Stripe waits for the customer or it takes too long.
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
			troubled := func() (all []string) {
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
			require.Equal(t, []string{p.ID}, troubled(), "Stripe waits for the customer")
			require.Equal(t, "requires_action", w.refundsOf(p)[0].LastError)
			w.stripe.MakeRefundsPending(1)
			w.refund(late, 0, "case 2")
			settle()
			require.Equal(t, 2, w.backlog().RefundsPending.Count)
			require.Equal(t, []string{p.ID}, troubled())
			w.refund(q, 0, "case 3")
			settle()
			require.Equal(t, payments.RefundSucceeded, w.refundsOf(q)[0].Status)

			_, err := w.stripe.CancelRefund(w.refundsOf(p)[0].StripeID)
			require.NoError(t, err)
			hear()
			require.Equal(t, payments.RefundCanceled, w.refundsOf(p)[0].Status)
			requireWaiting(t, w.backlog().RefundsFailed, 1, 0)
			require.Equal(t, []string{p.ID}, troubled())
			_, err = w.stripe.FailRefund(w.refundsOf(q)[0].StripeID, "")
			require.NoError(t, err)
			hear()
			requireWaiting(t, w.backlog().RefundsFailed, 2, 0)
			require.Equal(t, []string{q.ID, p.ID}, troubled())
			require.Equal(t, payments.Paid, w.payment(p.BookingID).Status())
			w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '15 days' WHERE payment_id = $1::uuid`, late.ID)
			require.Contains(t, troubled(), late.ID, "it has been on its way for too long")

			_, err = w.payments.RetryRefund(t.Context(), w.refundsOf(p)[0].ID, "operator")
			require.NoError(t, err)
			settle()
			requireWaiting(t, w.backlog().RefundsFailed, 1, 0)
		})
	}
}

// M18: a refund that is on its way for longer than Stripe's list reaches is asked about
// once a day.
func TestFindRefunds_PendingForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{NeverMade: func(stripetest.Event) bool { return true },
		PendingRefunds: true}})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	p := w.payment(b.ID)
	w.refund(p, 0, "case 1")
	w.settle(1)
	_, err = w.stripe.CancelRefund(w.refundsOf(p)[0].StripeID)
	require.NoError(t, err)
	w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '40 days', updated_at = statement_timestamp() - interval '2 days'`)
	// As if the list did not reach it.
	w.exec(`UPDATE booking_platform.payments SET stripe_payment_intent_id = stripe_payment_intent_id || '_'`)
	found, err := w.payments.DiscoverRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, found)
	w.exec(`UPDATE booking_platform.payments SET stripe_payment_intent_id = rtrim(stripe_payment_intent_id, '_')`)
	asked, err := w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	require.Equal(t, payments.RefundCanceled, w.refundsOf(p)[0].Status)
}
