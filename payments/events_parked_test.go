package payments_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

var (
	webhookUnmatched = webhook.ReplayOptions{}
	webhookParked    = webhook.ReplayOptions{Outcomes: []webhook.Outcome{webhook.Parked}}
)

// parkedLate is parked because its slot was sold again.
func (w *world) parkedLate() (late, other booking.Booking) {
	w.t.Helper()
	late = w.hold(0)
	c := w.checkout(late)
	w.release(late.ID)
	other, _ = w.paid(0)
	w.pay(c)
	require.Equal(w.t, payments.StatusParked, w.payment(late.ID).Status())
	return late, other
}

func (w *world) replayParked(want webhook.Outcome) {
	w.t.Helper()
	all, err := w.receiver.Replay(w.t.Context(), webhookParked)
	require.NoError(w.t, err)
	require.Len(w.t, all, 1)
	require.NoError(w.t, all[0].Err)
	require.Equal(w.t, want, all[0].Outcome)
}

// M13: A replay confirms the booking and makes the payment paid, and a cancellation
// refunds it by policy.
func TestReplay_ParkedPayment(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{opts: payments.Options{ParkUnapplied: true, OnTransition: outbox}})
	late, other := w.parkedLate()
	w.replayParked(webhook.Parked)
	require.Equal(t, payments.StatusParked, w.payment(late.ID).Status(), "the other booking keeps the slot")
	require.Equal(t, 1, w.backlog().Parked.Count)

	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: other.ID})
	require.NoError(t, err)
	w.requireTransitions("paid 2500 of 0: paid confirmed", "parked 2500 of 0: parked expired",
		"refund_due 2500 of 0: paid cancelled", "cancelled 0 of 0: paid cancelled")
	w.replayParked(webhook.Processed)
	w.requireTransitions("paid 2500 of 0: paid confirmed")
	require.Equal(t, booking.StatusConfirmed, w.status(late.ID))
	p := w.payment(late.ID)
	require.Equal(t, payments.StatusPaid, p.Status())
	require.Empty(t, p.ParkedReason)
	require.Zero(t, w.backlog().Parked)

	cancelled, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: late.ID, ByCustomer: true})
	require.NoError(t, err)
	require.EqualValues(t, price, cancelled.Refund.Minor)
	require.Len(t, w.refundsOf(p), 1)
	w.settle(2)
	require.Equal(t, payments.StatusRefunded, w.payment(late.ID).Status())
	w.requireBooks()
}

// M13: Without ParkUnapplied, a replay refunds what was parked.
func TestReplay_ParkedPaymentIsRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{ParkUnapplied: true}})
	late, _ := w.parkedLate()
	giving, err := payments.New(w.db, w.bookings, secretKey, appURL, payments.Options{BaseURL: w.api})
	require.NoError(t, err)
	receiver, err := webhook.New(w.db, []string{webhookSecret}, webhook.Options{})
	require.NoError(t, err)
	giving.Register(receiver)
	all, err := receiver.Replay(t.Context(), webhookParked)
	require.NoError(t, err)
	require.Equal(t, webhook.Processed, all[0].Outcome)
	p := w.payment(late.ID)
	require.Equal(t, payments.ReasonLate, p.Unapplied)
	require.Equal(t, payments.StatusPaid, p.Status(), "its refund is due")
	require.Len(t, w.refundsOf(p), 1)
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(late.ID).Status())
}

// M13: After an operator's refund has begun, a replay confirms nothing.
func TestReplay_ParkedPaymentWasRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{ParkUnapplied: true}})
	late, other := w.parkedLate()
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: other.ID})
	require.NoError(t, err)
	w.refund(w.payment(late.ID), 0, "case 42")
	w.replayParked(webhook.Parked)
	require.Equal(t, booking.StatusExpired, w.status(late.ID))
	w.settle(2)
	require.Equal(t, payments.StatusRefunded, w.payment(late.ID).Status(), "nothing left to decide")
	w.replayParked(webhook.Parked)
	require.Equal(t, booking.StatusExpired, w.status(late.ID))
	require.Zero(t, w.backlog().Parked)
	w.requireBooks()
}

// M13: After an operator has accepted the amount, a replay applies it.
func TestReplay_AmountAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	require.Equal(t, http.StatusOK, w.send("evt_1", "checkout.session.completed",
		session(c, map[string]any{"amount_total": price - 500})))
	require.Equal(t, payments.StatusParked, w.payment(b.ID).Status())
	w.exec(`UPDATE booking_platform.payments SET amount_minor = $1 WHERE booking_id = $2::uuid`, price-500, b.ID)
	w.exec(`UPDATE booking_platform.bookings SET amount_minor = $1 WHERE id = $2::uuid`, price-500, b.ID)
	w.replayParked(webhook.Processed)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	require.EqualValues(t, price-500, w.refundsOf(w.payment(b.ID))[0].Amount.Minor)
}

// M13: Parked while processing, and then never paid: nothing needs attention.
func TestParked_DelayedMethodFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	unpaid := session(c, map[string]any{"amount_total": price + 1, "payment_status": "unpaid"})
	require.Equal(t, http.StatusOK, w.send("evt_1", "checkout.session.completed", unpaid))
	require.Equal(t, 1, w.backlog().Parked.Count)
	require.Equal(t, http.StatusOK, w.send("evt_2", "checkout.session.async_payment_failed", unpaid))
	require.Equal(t, payments.StatusFailed, w.payment(b.ID).Status())
	require.Zero(t, w.backlog())
	attention, err := w.payments.NeedingAttention(t.Context())
	require.NoError(t, err)
	require.Empty(t, attention)
}

// M13: Of two events with different amounts the matching one decides, in either order.
func TestParked_ByOneOfTwoEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 2})
	fits, differs := map[string]any(nil), map[string]any{"amount_total": price + 1}
	for n, order := range [][]map[string]any{{fits, differs}, {differs, fits}} {
		b := w.hold(n)
		c := w.checkout(b)
		for i, change := range order {
			require.Equal(t, http.StatusOK,
				w.send("evt_"+b.ID+string(rune('a'+i)), "checkout.session.completed", session(c, change)))
		}
		require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
		p := w.payment(b.ID)
		require.Equal(t, payments.StatusPaid, p.Status())
		require.EqualValues(t, price, p.Captured.Minor)
	}
}

func (w *world) release(id string) {
	w.t.Helper()
	w.endHold(id)
	_, err := w.bookings.ReleaseExpired(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, booking.StatusExpired, w.status(id))
}

func TestUnapplied_LateRetakesFreeSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.release(b.ID)
	w.pay(c)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	p := w.payment(b.ID)
	require.Equal(t, payments.StatusPaid, p.Status())
	require.Empty(t, p.Unapplied)
	require.Empty(t, w.refundsOf(p))
}

func TestUnapplied_SlotSoldAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	late := w.hold(0)
	c := w.checkout(late)
	w.release(late.ID)
	other, _ := w.paid(0)
	w.pay(c)
	require.Equal(t, booking.StatusExpired, w.status(late.ID))
	require.Equal(t, booking.StatusConfirmed, w.status(other.ID))
	p := w.payment(late.ID)
	require.Equal(t, payments.ReasonLate, p.Unapplied)
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(late.ID).Status())
	require.Equal(t, stripetest.Money{Captured: 2 * price, Refunded: price}, w.stripe.Balance()["eur"])

	// The other booking is cancelled, and a second event of the late session finds the
	// slot free: its money was refunded already.
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: other.ID})
	require.NoError(t, err)
	require.Equal(t, 200, w.send("evt_again", "checkout.session.async_payment_succeeded", session(c, nil)))
	require.Equal(t, booking.StatusExpired, w.status(late.ID))
	require.Len(t, w.refundsOf(p), 1, "one full refund")
	w.requireBooks()
}

func TestUnapplied_CancelledBooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
	require.NoError(t, err)
	w.pay(c)
	require.Equal(t, booking.StatusCancelled, w.status(b.ID))
	require.Equal(t, payments.ReasonCancelled, w.payment(b.ID).Unapplied)
	w.settle(1)
	require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
	w.requireBooks()
}

// M17: Refunded in full, although the hold is still there and its row lasts longer; the
// booking is not confirmed.
func TestUnapplied_AfterStartOfSlot(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(w *world, c payments.Checkout){
		"completed": func(w *world, c payments.Checkout) { w.pay(c) },
		"a delayed method": func(w *world, c payments.Checkout) {
			require.Equal(w.t, 200, w.send("evt_async", "checkout.session.async_payment_succeeded", session(c, nil)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b := w.hold(0)
			c := w.checkout(b)
			w.exec(`UPDATE booking_platform.bookings
				SET during = tstzrange(statement_timestamp() - interval '1 minute', upper(during)),
				blocked = tstzrange(statement_timestamp() - interval '1 minute', upper(blocked)) WHERE id = $1::uuid`,
				b.ID)
			send(w, c)
			require.Equal(t, booking.StatusExpired, w.status(b.ID))
			p := w.payment(b.ID)
			require.Equal(t, payments.ReasonLate, p.Unapplied)
			require.Len(t, w.refundsOf(p), 1)
			require.EqualValues(t, price, w.refundsOf(p)[0].Amount.Minor)
		})
	}
}

func TestUnapplied_ParkedByOption(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{ParkUnapplied: true}})

	late := w.hold(0)
	lateCheckout := w.checkout(late)
	w.endHold(late.ID)
	_, err := w.bookings.ReleaseExpired(t.Context())
	require.NoError(t, err)
	// Another customer gets the slot and keeps it.
	other := w.hold(0)
	w.pay(w.checkout(other))
	w.pay(lateCheckout)
	require.Equal(t, booking.StatusExpired, w.status(late.ID))
	require.Equal(t, payments.ReasonLate, w.payment(late.ID).ParkedReason)

	cancelled := w.hold(1)
	cancelledCheckout := w.checkout(cancelled)
	_, err = w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID, Reason: "changed their mind"})
	require.NoError(t, err)
	w.pay(cancelledCheckout)
	require.Equal(t, booking.StatusCancelled, w.status(cancelled.ID))
	require.Equal(t, payments.ReasonCancelled, w.payment(cancelled.ID).ParkedReason)

	require.Equal(t, booking.StatusConfirmed, w.status(other.ID))
	require.Equal(t, map[string]int{"checkout.session.completed parked": 2, "checkout.session.completed processed": 1},
		w.outcomes())
}
