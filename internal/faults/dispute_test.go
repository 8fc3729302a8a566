package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

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
	inParallel(len(runs), func(i int) { w.play(&runs[i]) })
	require.False(t, t.Failed())
	inParallel(len(runs), func(i int) {
		before := runs[i]
		after := before
		at := 1 + i%5
		before.order, after.order = before.order[:at], after.order[at:]
		w.deliverInOrder(before, true)
		if _, err := w.hosts[i%3].payments.Cancel(t.Context(),
			booking.CancelRequest{ID: before.booking.ID, ByCustomer: true}); err != nil {
			t.Error(err)
		}
		w.deliverInOrder(after, i%2 == 0)
	})
	require.False(t, t.Failed())
	w.settle()
	ends := w.finalStates()
	for _, one := range runs {
		require.Equal(t, end, ends[one.booking.ID], "%s, order %v", one.story.name, one.order)
	}
	w.faultOccurred(len(runs))
	w.checkInvariants()
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
	inParallel(len(all), func(i int) { w.play(&all[i]) })
	require.False(t, t.Failed())
	inParallel(len(all), func(i int) {
		before := all[i]
		after := before
		// At most the start of a delayed payment is known when the booking is cancelled.
		at := 0
		if before.events[before.order[0]].Type == "checkout.session.completed" && len(before.order) > 1 && i%2 == 0 {
			at = 1
		}
		before.order, after.order = before.order[:at], after.order[at:]
		w.deliverInOrder(before, true)
		if _, err := w.hosts[i%3].payments.Cancel(t.Context(),
			booking.CancelRequest{ID: before.booking.ID, ByCustomer: true}); err != nil {
			t.Error(err)
		}
		w.deliverInOrder(after, i%2 == 0)
	})
	require.False(t, t.Failed())
	w.settle()
	ends := w.finalStates()
	for _, one := range all {
		require.Equal(t, end, ends[one.booking.ID], "%s, order %v", one.story.name, one.order)
	}
	w.faultOccurred(len(all))
	w.checkInvariants()
}
