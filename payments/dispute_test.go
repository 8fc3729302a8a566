package payments_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func (w *world) dispute(p payments.Payment, id, kind, status string, amount int64, changes ...map[string]any) {
	w.t.Helper()
	object := map[string]any{
		"id": id, "object": "dispute", "payment_intent": p.PaymentIntentID, "status": status, "amount": amount,
		"currency": "eur", "reason": "fraudulent",
	}
	for _, change := range changes {
		for k, v := range change {
			object[k] = v
		}
	}
	require.Equal(w.t, http.StatusOK, w.send("evt_"+uuid.NewString(), "charge.dispute."+kind, object))
}

func (w *world) disputes(p payments.Payment) []payments.Dispute {
	w.t.Helper()
	all, err := w.payments.Disputes(w.t.Context(), p.ID)
	require.NoError(w.t, err)
	return all
}

func (w *world) delivered() {
	w.t.Helper()
	require.NoError(w.t, w.stripe.WaitDelivered(w.t.Context()))
}

// M7: Each dispute of a payment has its own outcome.
func TestDispute_SecondOfPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, p := w.paid(0)
	for range 2 {
		_, err := w.stripe.Dispute(p.SessionID)
		require.NoError(t, err)
		w.delivered()
		require.Equal(t, payments.StatusDisputed, w.payment(b.ID).Status())
		require.Equal(t, 1, w.backlog().Disputed.Count)
		_, err = w.stripe.CloseDispute(p.SessionID, true)
		require.NoError(t, err)
		w.delivered()
		require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
		require.Zero(t, w.backlog())
	}
	_, err := w.stripe.Dispute(p.SessionID)
	require.NoError(t, err)
	_, err = w.stripe.CloseDispute(p.SessionID, false)
	require.NoError(t, err)
	w.delivered()
	require.Equal(t, payments.StatusDisputeLost, w.payment(b.ID).Status())
	require.EqualValues(t, price, w.payment(b.ID).Lost.Minor)
	require.Zero(t, w.backlog())
	var statuses []payments.DisputeStatus
	for _, d := range w.disputes(p) {
		require.Equal(t, booking.Money{Minor: price, Currency: "eur"}, d.Amount)
		require.True(t, d.Withdrawn)
		statuses = append(statuses, d.Status)
	}
	require.Equal(t, []payments.DisputeStatus{payments.DisputeStatusWon, payments.DisputeStatusWon,
		payments.DisputeStatusLost}, statuses)
}

// M7: charge.dispute.closed closes a dispute whatever its status; its money decides what
// was lost.
func TestDispute_ClosedWithAnyStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 100})
	for n, test := range []struct {
		status              string
		withdrawn, returned bool
		want                payments.DisputeStatus
		lost                int64
	}{
		{"won", true, true, payments.DisputeStatusWon, 0},
		{"won", true, false, payments.DisputeStatusWon, 0},
		{"won", false, false, payments.DisputeStatusWon, 0},
		{"lost", true, false, payments.DisputeStatusLost, 1000},
		{"lost", false, false, payments.DisputeStatusLost, 1000},
		{"lost", true, true, payments.DisputeStatusWon, 0},
		{"warning_closed", false, false, payments.DisputeStatusClosed, 0},
		{"prevented", false, false, payments.DisputeStatusClosed, 0},
		{"prevented", true, false, payments.DisputeStatusLost, 1000},
		{"prevented", true, true, payments.DisputeStatusClosed, 0},
		{"charge_refunded", false, false, payments.DisputeStatusClosed, 0},
		{"not_yet_invented", true, false, payments.DisputeStatusLost, 1000},
		{"not_yet_invented", false, false, payments.DisputeStatusClosed, 0},
		{"", false, false, payments.DisputeStatusClosed, 0},
	} {
		_, p := w.paid(n)
		id := "dp_" + strconv.Itoa(n)
		w.dispute(p, id, "created", "warning_needs_response", 1000)
		require.Equal(t, payments.DisputeStatusInquiry, w.disputes(p)[0].Status)
		require.Equal(t, payments.StatusDisputed, w.payment(p.BookingID).Status())
		if test.withdrawn {
			w.dispute(p, id, "funds_withdrawn", "under_review", 1000)
			require.Equal(t, payments.DisputeStatusOpen, w.disputes(p)[0].Status)
		}
		w.dispute(p, id, "closed", test.status, 1000)
		if test.returned {
			w.dispute(p, id, "funds_reinstated", test.status, 1000)
		}
		d := w.disputes(p)[0]
		require.Equal(t, test.want, d.Status, "%+v", test)
		require.Equal(t, test.status, d.Outcome)
		require.Equal(t, test.lost, w.payment(p.BookingID).Lost.Minor, "%+v", test)
		require.Zero(t, w.backlog().Disputed)
	}
}

// An unknown amount, or one in another currency, counts as the whole payment; minus what
// Stripe reinstated, by its balance transactions.
func TestDispute_AmountLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 100})
	moves := func(all ...int64) map[string]any {
		var list []map[string]any
		for _, m := range all {
			list = append(list, map[string]any{"amount": m})
		}
		return map[string]any{"balance_transactions": list}
	}
	for n, test := range []struct {
		amount  int64
		changes map[string]any
		want    int64
	}{
		{1000, nil, 1000},
		{price + 1, nil, price},
		{9223372036854775807, nil, price},
		{0, nil, price},
		{1000, map[string]any{"amount": "1000"}, price},
		{1000, map[string]any{"currency": "usd"}, price},
		{1000, map[string]any{"currency": "EUR", "reason": 5, "balance_transactions": "txn_1"}, 1000},
		{1000, moves(-1100), 1000},
		{1000, moves(-1100, 1100), 0},
		{1000, moves(-1100, 550), 500},
		{1000, moves(-3, 1), 667},
	} {
		_, p := w.paid(n)
		w.dispute(p, "dp_"+strconv.Itoa(n), "closed", "lost", test.amount, test.changes)
		require.Equal(t, test.want, w.payment(p.BookingID).Lost.Minor, "%+v", test)
	}
}

func TestDispute_BeforePayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.dispute(payments.Payment{PaymentIntentID: "pi_" + c.SessionID}, "dp_1", "created", "needs_response", price)
	require.Equal(t, map[string]int{"charge.dispute.created unmatched": 1}, w.outcomes())
	require.Equal(t, http.StatusOK, w.send("evt_paid", "checkout.session.completed", session(c, nil)))
	_, err := w.receiver.Replay(t.Context(), webhookUnmatched)
	require.NoError(t, err)
	require.Equal(t, payments.StatusDisputed, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
}

// M8: A cancellation makes no refund. Afterwards what the dispute did not take is
// refunded.
func TestCancel_WhileDisputed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dispute stripetest.NewDispute
		end     stripetest.DisputeStatus
		policy  bool
		want    int64
	}{
		"won":               {stripetest.NewDispute{}, stripetest.DisputeWon, false, price},
		"lost":              {stripetest.NewDispute{}, stripetest.DisputeLost, false, 0},
		"prevented":         {stripetest.NewDispute{}, stripetest.DisputePrevented, false, price},
		"an inquiry":        {stripetest.NewDispute{Inquiry: true}, stripetest.InquiryClosed, false, price},
		"a part, lost":      {stripetest.NewDispute{Amount: 1000}, stripetest.DisputeLost, false, price - 1000},
		"a part, won":       {stripetest.NewDispute{Amount: 1000}, stripetest.DisputeWon, false, price},
		"half is kept, won": {stripetest.NewDispute{}, stripetest.DisputeWon, true, price / 2},
		"half is kept, a part lost": {stripetest.NewDispute{Amount: 1000}, stripetest.DisputeLost, true,
			price/2 - 1000},
		"half is kept, half lost": {stripetest.NewDispute{Amount: price / 2}, stripetest.DisputeLost, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			if test.policy {
				w.halfAfter(300 * time.Hour)
			}
			b, p := w.paid(0)
			d, err := w.stripe.OpenDispute(p.SessionID, test.dispute)
			require.NoError(t, err)
			w.delivered()
			for range 2 {
				cancelled, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
				require.NoError(t, err)
				require.Equal(t, booking.StatusCancelled, cancelled.Status)
			}
			require.Empty(t, w.refundsOf(p))
			w.settle(0)
			require.Equal(t, payments.StatusDisputed, w.payment(b.ID).Status())

			_, err = w.stripe.EndDispute(d.ID, test.end)
			require.NoError(t, err)
			w.delivered()
			made := 0
			if test.want > 0 {
				made = 1
			}
			w.settle(made)
			require.Len(t, w.refundsOf(p), made)
			require.EqualValues(t, test.want, w.stripe.Balance()["eur"].Refunded)
			require.Zero(t, w.backlog().RefundsFailed, "nothing for staff to pay in another way")
			require.Zero(t, w.backlog().RefundsDue)
			w.requireBooks()
		})
	}
}

// M8: The refund of unapplied money waits for the dispute's end.
func TestDispute_UnappliedPayment(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"won", "lost"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b := w.hold(0)
			c := w.checkout(b)
			// The PaymentIntent is known, but not yet paid.
			require.Equal(t, http.StatusOK,
				w.send("evt_1", "checkout.session.completed", session(c, map[string]any{"payment_status": "unpaid"})))
			_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
			require.NoError(t, err)
			p := w.payment(b.ID)
			w.dispute(p, "dp_1", "created", "needs_response", price)
			require.Equal(t, http.StatusOK,
				w.send("evt_2", "checkout.session.async_payment_succeeded", session(c, nil)))
			require.Equal(t, payments.ReasonCancelled, w.payment(b.ID).Unapplied)
			require.Empty(t, w.refundsOf(p))
			w.dispute(p, "dp_1", "closed", end, price)
			if end == "lost" {
				require.Empty(t, w.refundsOf(p))
				return
			}
			require.Len(t, w.refundsOf(p), 1)
			require.Equal(t, payments.ReasonCancelled, w.refundsOf(p)[0].Cause)
			require.EqualValues(t, price, w.refundsOf(p)[0].Amount.Minor)
		})
	}
}

// A step finds a dispute and its end, and the due refund is made.
func TestDiscoverDisputes_WithoutEvents(t *testing.T) {
	t.Parallel()
	var old atomic.Bool
	w := withOutbox(t, setup{stripe: stripetest.Options{NeverMade: func(stripetest.Event) bool { return true }},
		wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/disputes" && old.Load() {
					_, _ = rw.Write([]byte(`{"object":"list","data":[],"has_more":false}`))
					return
				}
				next.ServeHTTP(rw, r)
			})
		}})
	find := func(want int) {
		t.Helper()
		n, err := w.payments.DiscoverDisputes(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	b := w.hold(0)
	c := w.checkout(b)
	w.pay(c)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	p := w.payment(b.ID)
	find(0)
	d, err := w.stripe.OpenDispute(p.SessionID, stripetest.NewDispute{Amount: 1000})
	require.NoError(t, err)
	find(1)
	find(0)
	require.Equal(t, payments.StatusDisputed, w.payment(b.ID).Status())
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	_, err = w.stripe.EndDispute(d.ID, stripetest.DisputeLost)
	require.NoError(t, err)
	// It was opened too long ago to be listed.
	old.Store(true)
	find(0)
	w.exec(`UPDATE booking_platform.disputes SET asked_at = statement_timestamp() - interval '1 day'`)
	find(1)
	find(0)
	require.Equal(t, payments.StatusDisputeLost, w.payment(b.ID).Status())
	w.settle(1)
	require.EqualValues(t, price-1000, w.stripe.Balance()["eur"].Refunded)
	require.Equal(t, []string{"cancelled", "dispute_closed", "disputed", "paid", "refund_due", "refunded"},
		w.transitionsOf(p.ID))
	w.requireBooks()
}
