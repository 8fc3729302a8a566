package faults_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
	"github.com/stretchr/testify/require"
)

// Their sum is never above what was paid.
func TestRefund_Concurrent(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	_, p := w.paid(0)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := w.hosts[i%3].payments.Refund(t.Context(),
				payments.RefundRequest{PaymentID: p.ID, Amount: 300, Cause: fmt.Sprint("case ", i)})
			var tooLarge *payments.RefundTooLargeError
			switch {
			case errors.As(err, &tooLarge):
				w.faultOccurred(1)
			case err != nil:
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 32-price/300, w.fired, "the others were refused")
	// All hosts settle concurrently, each refund once.
	w.settle()
	require.Equal(t, stripetest.Money{Captured: price, Refunded: price / 300 * 300}, w.stripe.Balance()["eur"])
	w.checkInvariants()
}

// The failure is visible.
func TestRefund_Fails(t *testing.T) {
	t.Parallel()
	for name, pending := range map[string]int{"after it succeeded": 0, "while it was pending": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, setup{})
			b, p := w.paid(0)
			w.stripe.MakeRefundsPending(pending)
			ask := func(cause string) {
				_, err := w.hosts[0].payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: cause})
				require.NoError(t, err)
				w.settle()
				require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
			}
			ask("case 1")
			_, err := w.stripe.FailRefund(w.refunds(p)[0].StripeID, "expired_or_canceled_card")
			require.NoError(t, err)
			w.settle()
			require.Equal(t, payments.StatusPaid, w.payment(b).Status(), "the refund is counted as failed")
			troubled, err := w.hosts[1].payments.RefundsNeedingAttention(t.Context())
			require.NoError(t, err)
			require.Len(t, troubled, 1)
			require.Equal(t, "expired_or_canceled_card", troubled[0].Failure)
			w.faultOccurred(len(troubled))
			w.checkInvariants()
			ask("refund once more")
			w.checkInvariants()
		})
	}
}

// The stand-in sends the event first and answers later: one refund row, settled.
func TestRefund_EventBeforeAnswer(t *testing.T) {
	t.Parallel()
	var w *testEnv
	w = newEnv(t, setup{stripe: stripetest.Options{OnRefund: func(r stripetest.Refund) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := w.stripe.WaitDelivered(ctx); err != nil {
			t.Error(err)
			return
		}
		var early int
		err := w.db.QueryRowContext(ctx, `SELECT count(*) FROM booking_platform.payment_events e
			WHERE e.type = 'refund.created' AND e.outcome = $1 AND e.object_id = $2`, string(webhook.Processed),
			r.ID).Scan(&early)
		if err != nil {
			t.Error(err)
		}
		w.faultOccurred(early)
	}}})
	b, p := w.paid(0)
	_, err := w.hosts[0].payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 1"})
	require.NoError(t, err)
	made, err := w.hosts[0].payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, made)
	require.Len(t, w.refunds(p), 1)
	require.Equal(t, payments.RefundSucceeded, w.refunds(p)[0].Status)
	require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
	w.checkInvariants()
}

// Operators of three hosts record a failed refund as paid by hand, and retry it, at once,
// while every event comes again: the customer gets the money once.
func TestRefund_PaidByHandBesideRetry(t *testing.T) {
	t.Parallel()
	for name, retries := range map[string]int{"recorded": 0, "or retried": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, setup{})
			b, p := w.paid(0)
			_, err := w.hosts[0].payments.Refund(t.Context(), payments.RefundRequest{PaymentID: p.ID, Cause: "case 1"})
			require.NoError(t, err)
			w.settle()
			failed := w.refunds(p)[0]
			_, err = w.stripe.FailRefund(failed.StripeID, "expired_or_canceled_card")
			require.NoError(t, err)
			w.settle()
			require.Equal(t, payments.StatusPaid, w.payment(b).Status())
			var all sync.WaitGroup
			for i := range 3 {
				all.Go(func() {
					_, err := w.hosts[i].payments.RecordRefund(t.Context(), failed.ID,
						payments.Settlement{Cause: "bank transfer", Actor: "operator"})
					if err != nil && (retries == 0 || !errors.Is(err, payments.ErrNotFailed)) {
						t.Error(err)
					}
				})
				if i < retries {
					all.Go(func() {
						if _, err := w.hosts[i].payments.RetryRefund(t.Context(), failed.ID, "operator"); err != nil {
							t.Error(err)
						}
					})
				}
				for _, e := range w.stripe.Events() {
					all.Go(func() { w.deliver(i, e.Payload) })
				}
			}
			all.Wait()
			w.settle()
			_, err = w.hosts[0].payments.RecordRefund(t.Context(), failed.ID, payments.Settlement{Cause: "once more"})
			if err != nil {
				require.ErrorIs(t, err, payments.ErrNotFailed, "it was retried")
			}
			w.settle()
			refunds := w.refunds(p)
			require.Len(t, refunds, 2)
			require.Equal(t, payments.RefundSucceeded, refunds[1].Status)
			require.Equal(t, refunds[1].ByHand, refunds[1].StripeID == "")
			require.True(t, refunds[1].ByHand || retries > 0)
			require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
			w.faultOccurred(1)
			w.checkInvariants()
		})
	}
}

// M7, M8: The first dispute is lost, the second won or closed with an unknown status, and
// the booking is cancelled between their events: the same amount is refunded in any
// order.
func TestDispute_CancelledBetweenItsEvents(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true, pool: 8})
	runs := []storyRun{}
	end := "cancelled; dispute_lost: succeeded 1500"
	for i, second := range []stripetest.DisputeStatus{stripetest.DisputeWon, "not_yet_invented"} {
		s := story{fmt.Sprint("second dispute ", second), 1, func(s *stripetest.Server, ids []string) error {
			return chain(pay(s, ids[0]), disputeOf(s, ids[0], 1000, false),
				endDispute(s, ids[0], stripetest.DisputeLost),
				disputeOf(s, ids[0], 1500, false), endDispute(s, ids[0], second))
		}, 5, "funds_", end}
		resource := w.newResource(fmt.Sprint("disputes-", i), 1000)
		// The payment comes first: without it the policy has nothing to refund.
		for _, order := range orders(4) {
			for k := range order {
				order[k]++
			}
			b, err := w.hosts[0].bookings.Hold(t.Context(),
				booking.HoldRequest{Resource: resource.ID, Start: slot(len(runs)), Customer: ada})
			require.NoError(t, err)
			runs = append(runs, one(s, b, append([]int{0}, order...)))
		}
	}
	w.cancelWithin(runs, end, func(i int, _ storyRun) int { return 1 + i%5 })
}

func one(s story, b booking.Booking, order []int) storyRun {
	return storyRun{story: s, booking: b, order: order}
}

// M22: Customers cancel while their payment is processing. The policy's fee is kept in
// every order of the events, also with a later dispute.
func TestCancel_MoneyComesAfterwards(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true, pool: 8})
	policy := booking.Policy{FreeUntil: 365 * 24 * time.Hour, FeePercent: 40}
	var all []storyRun
	const end = "cancelled; partially_refunded: succeeded 1500"
	for i, s := range []story{
		{"a card", 1, func(s *stripetest.Server, ids []string) error { return pay(s, ids[0])() }, 1, "", end},
		{"a delayed method", 1, func(s *stripetest.Server, ids []string) error {
			return chain(payDelayed(s, ids[0]), func() error { _, err := s.SettlePayment(ids[0]); return err })
		}, 2, "", end},
		{"a delayed method, disputed and won", 1, func(s *stripetest.Server, ids []string) error {
			return chain(payDelayed(s, ids[0]), func() error { _, err := s.SettlePayment(ids[0]); return err },
				dispute(s, ids[0]), endDispute(s, ids[0], stripetest.DisputeWon))
		}, 4, "funds_", end},
	} {
		resource := w.newResource(fmt.Sprint("late-", i), 1000)
		w.exec(`UPDATE booking_platform.resources SET policy = $1::jsonb WHERE id = $2::uuid`,
			fmt.Sprintf(`{"free_until_seconds": %d, "fee_percent": %d}`, int(policy.FreeUntil.Seconds()),
				policy.FeePercent), resource.ID)
		for _, order := range orders(s.events) {
			b, err := w.hosts[0].bookings.Hold(t.Context(),
				booking.HoldRequest{Resource: resource.ID, Start: slot(len(all)), Customer: ada})
			require.NoError(t, err)
			all = append(all, one(s, b, order))
		}
	}
	w.cancelWithin(all, end, func(i int, run storyRun) int {
		// At most the start of a delayed payment is known when the booking is cancelled.
		if run.events[run.order[0]].Type == "checkout.session.completed" && len(run.order) > 1 && i%2 == 0 {
			return 1
		}
		return 0
	})
}

// cancelWithin plays stories, whose customers cancel after the first at events have come,
// and requires each booking's end.
func (w *testEnv) cancelWithin(runs []storyRun, end string, at func(i int, run storyRun) int) {
	w.t.Helper()
	inParallel(len(runs), func(i int) { w.play(&runs[i]) })
	require.False(w.t, w.t.Failed())
	inParallel(len(runs), func(i int) {
		before, after := runs[i], runs[i]
		known := at(i, before)
		before.order, after.order = before.order[:known], after.order[known:]
		w.deliverInOrder(before, true)
		if _, err := w.hosts[i%3].payments.Cancel(w.t.Context(),
			booking.CancelRequest{ID: before.booking.ID, ByCustomer: true}); err != nil {
			w.t.Error(err)
		}
		w.deliverInOrder(after, i%2 == 0)
	})
	require.False(w.t, w.t.Failed())
	w.settle()
	ends := w.finalStates()
	for _, one := range runs {
		require.Equal(w.t, end, ends[one.booking.ID], "%s, order %v", one.story.name, one.order)
	}
	w.faultOccurred(len(runs))
	w.checkInvariants()
}
