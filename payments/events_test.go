package payments_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestEvents_OneEffectPerSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	var wg sync.WaitGroup
	statuses := make([]int, 20)
	for i := range statuses {
		id, kind := "evt_completed", "checkout.session.completed"
		if i%2 == 1 {
			id, kind = "evt_async", "checkout.session.async_payment_succeeded"
		}
		wg.Go(func() { statuses[i] = w.send(id, kind, session(c, nil)) })
	}
	wg.Wait()
	for _, s := range statuses {
		require.Equal(t, http.StatusOK, s)
	}
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.EqualValues(t, price, w.payment(b.ID).Captured.Minor)
	require.Equal(t, map[string]int{"checkout.session.completed processed": 1,
		"checkout.session.async_payment_succeeded processed": 1}, w.outcomes())
}

func TestEvents_OtherAmountIsParked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]any{
		"less":           {"amount_total": price - 1},
		"more":           {"amount_total": price + 1},
		"other currency": {"currency": "usd"},
		"no currency":    {"currency": "\x00"},
		"no amount":      {"amount_total": nil},
		"less, unpaid":   {"amount_total": 1, "payment_status": "unpaid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b := w.hold(0)
			c := w.checkout(b)
			require.Equal(t, http.StatusOK, w.send("evt_1", "checkout.session.completed", session(c, change)))
			require.Equal(t, booking.StatusPending, w.status(b.ID), "never confirmed")
			p := w.payment(b.ID)
			require.Equal(t, payments.StatusParked, p.Status())
			require.Equal(t, payments.ReasonAmount, p.ParkedReason)
			require.Equal(t, booking.Money{Minor: price, Currency: "eur"}, p.Amount)
			if change["currency"] == "usd" {
				require.Equal(t, booking.Money{Minor: price, Currency: "usd"}, p.Captured,
					"a person has to know what came")
			}
			require.Equal(t, map[string]int{"checkout.session.completed parked": 1}, w.outcomes())
		})
	}
}

// The hold's time has just passed, but the slot was not taken: it is confirmed.
func TestEvents_PaidAfterHoldLapsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.endHold(b.ID)
	w.pay(c)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	n, err := w.bookings.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestEvents_SecondPaidSessionIsRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	first := w.checkout(b)
	// The first session was given up here, and paid all the same.
	w.exec(`UPDATE booking_platform.payments SET failed = true WHERE id = $1::uuid`, first.PaymentID)
	second := w.checkout(b)
	require.NotEqual(t, first.SessionID, second.SessionID)
	// Both meet at the booking's lock, where the second must see the effect of the first.
	tx, err := w.db.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`, b.ID)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for _, c := range []payments.Checkout{first, second} {
		wg.Go(func() { w.pay(c) })
	}
	w.awaitWaiting(2)
	require.NoError(t, tx.Commit())
	wg.Wait()
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
	require.Equal(t, map[string]int{"checkout.session.completed processed": 2}, w.outcomes())
	var unapplied string
	require.NoError(t, w.db.QueryRow(`SELECT id::text FROM booking_platform.payments WHERE unapplied = $1`,
		payments.ReasonPaidTwice).Scan(&unapplied))
	refunds, err := w.payments.Refunds(t.Context(), unapplied)
	require.NoError(t, err)
	require.Len(t, refunds, 1)
	require.Equal(t, payments.ReasonPaidTwice, refunds[0].Cause)
	require.EqualValues(t, price, refunds[0].Amount.Minor)
}

func TestEvents_DelayedMethod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for i, async := range []string{"checkout.session.async_payment_succeeded",
		"checkout.session.async_payment_failed"} {
		b := w.hold(i)
		c := w.checkout(b)
		require.Equal(t, http.StatusOK, w.send("evt_done_"+async, "checkout.session.completed",
			session(c, map[string]any{"payment_status": "unpaid"})))
		require.Equal(t, booking.StatusPending, w.status(b.ID))
		require.Equal(t, payments.StatusProcessing, w.payment(b.ID).Status())
		held, err := w.bookings.Get(t.Context(), b.ID)
		require.NoError(t, err)
		require.WithinDuration(t, b.Start, held.HoldExpiresAt, time.Second, "kept, but not beyond its start")

		status := map[bool]string{true: "paid", false: "unpaid"}[i == 0]
		require.Equal(t, http.StatusOK, w.send("evt_"+async, async,
			session(c, map[string]any{"payment_status": status})))
		want := map[bool]booking.Status{true: booking.StatusConfirmed, false: booking.StatusExpired}[i == 0]
		require.Equal(t, want, w.status(b.ID))
		wantPayment := map[bool]payments.Status{true: payments.StatusPaid, false: payments.StatusFailed}[i == 0]
		require.Equal(t, wantPayment, w.payment(b.ID).Status())
	}
}

func TestEvents_ExpiredSessionReleasesSlot(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	require.Equal(t, http.StatusOK, w.send("evt_1", "checkout.session.expired",
		session(c, map[string]any{"payment_status": "unpaid"})))
	require.Equal(t, booking.StatusExpired, w.status(b.ID))
	require.Equal(t, payments.StatusExpired, w.payment(b.ID).Status())
	w.hold(0)
}

// The end of an old session does not release the hold of a newer one.
func TestEvents_ExpiredSessionKeepsNewerSessionsHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	first := w.checkout(b)
	w.exec(`UPDATE booking_platform.payments SET failed = true WHERE id = $1::uuid`, first.PaymentID)
	second := w.checkout(b)
	require.Equal(t, http.StatusOK, w.send("evt_1", "checkout.session.expired",
		session(first, map[string]any{"payment_status": "unpaid"})))
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	w.pay(second)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
}

// M9: A session without our reference, or with another program's success_url, is ignored;
// one that may be ours and matches no payment is unmatched.
func TestEvents_SessionWithoutPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	for name, s := range map[string]map[string]any{
		"foreign":               {"id": "cs_foreign", "client_reference_id": "cart_42"},
		"another session":       session(c, map[string]any{"id": "cs_another"}),
		"unknown payment":       {"id": "cs_x", "client_reference_id": "0193b3a0-0000-7000-8000-000000000000"},
		"nothing":               {},
		"object of wrong types": {"id": 7, "amount_total": "many"},
		"our address": {"id": "cs_y", "client_reference_id": "0193b3a0-0000-7000-8000-000000000000",
			"success_url": appURL + "/success"},
		"another address": {"id": "cs_z", "client_reference_id": "0193b3a0-0000-7000-8000-000000000000",
			"success_url": appURL + ".evil/success"},
		"embedded": {"id": "cs_z", "client_reference_id": "0193b3a0-0000-7000-8000-000000000000",
			"success_url": nil},
		"a payment link": {"id": "cs_z", "client_reference_id": nil, "payment_link": "plink_1",
			"success_url": appURL + "/success"},
		"a reference like ours": {"id": "cs_z", "client_reference_id": "0193b3a0-0000-7000-8000-00000000000Z"},
		"in its metadata alone": {"id": "cs_z",
			"metadata": map[string]string{"payment_id": "0193b3a0-0000-7000-8000-000000000000"}},
	} {
		if s["id"] != 7 {
			s["object"] = "checkout.session"
		}
		require.Equal(t, http.StatusOK, w.send("evt_"+name, "checkout.session.completed", s), name)
	}
	require.Equal(t, map[string]int{"checkout.session.completed unmatched": 4, "checkout.session.completed ignored": 7},
		w.outcomes())
	notOurs, err := w.receiver.Ledger().List(t.Context(), webhook.ListOptions{Reason: webhook.ReasonNotOurs})
	require.NoError(t, err)
	require.Len(t, notOurs, 7)
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status())
}

// M9: Retried for three days and then ignored, without an alert; it takes effect if the
// payment becomes known meanwhile.
func TestEvents_IntentWithoutPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	objects := map[string]map[string]any{
		"charge.refunded": {"id": "ch_1", "object": "charge", "payment_intent": "pi_foreign",
			"amount_refunded": 100, "customer": "cus_1"},
		"refund.created": {"id": "re_1", "object": "refund", "payment_intent": "pi_foreign", "amount": 100,
			"currency": "eur", "status": "succeeded"},
		"refund.failed": {"id": "re_2", "object": "refund", "payment_intent": "pi_foreign",
			"metadata": map[string]string{"payment_id": "cart_42"}},
		"charge.dispute.created": {"id": "dp_1", "object": "dispute", "payment_intent": "pi_foreign",
			"status": "needs_response"},
		"charge.dispute.closed": {"id": "dp_1", "object": "dispute", "payment_intent": nil, "status": "lost"},
	}
	for eventType, object := range objects {
		require.Equal(t, http.StatusOK, w.send("evt_"+eventType, eventType, object))
	}
	backlog, err := w.receiver.Ledger().Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, webhook.Backlog{Unmatched: len(objects)}, backlog)
	w.exec(`UPDATE booking_platform.payment_events
		SET received_at = received_at - interval '73 hours', retry_at = statement_timestamp()`)
	settled, err := w.receiver.RetryWaiting(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(objects), settled)
	notOurs, err := w.receiver.Ledger().List(t.Context(),
		webhook.ListOptions{Outcome: webhook.Ignored, Reason: webhook.ReasonNotOurs})
	require.NoError(t, err)
	require.Len(t, notOurs, len(objects))
	backlog, err = w.receiver.Ledger().Backlog(t.Context())
	require.NoError(t, err)
	require.Zero(t, backlog.Unmatched)
}

// The second event of a paid session waits for the booking while the first is applied and
// staff cancel. It must act on the state after both: the money was applied, and is not
// parked.
func TestEvents_SecondWaitsForFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	tx, err := w.db.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.Exec(`SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR NO KEY UPDATE`, b.ID)
	require.NoError(t, err)
	status := make(chan int, 1)
	go func() { status <- w.send("evt_second", "checkout.session.async_payment_succeeded", session(c, nil)) }()
	w.awaitWaiting(1)
	_, err = tx.Exec(`UPDATE booking_platform.bookings SET status = 'cancelled' WHERE id = $1::uuid`, b.ID)
	require.NoError(t, err)
	_, err = tx.Exec(`UPDATE booking_platform.payments SET completed = true, captured_minor = amount_minor
		WHERE id = $1::uuid`, c.PaymentID)
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, http.StatusOK, <-status)
	require.Equal(t, booking.StatusCancelled, w.status(b.ID))
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
	require.Equal(t, map[string]int{"checkout.session.async_payment_succeeded processed": 1}, w.outcomes())
}

// EventTypes, what Register registers, and its comment agree.
func TestEventTypes_SameAsRegister(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("events.go")
	require.NoError(t, err)
	_, comment, _ := strings.Cut(string(source), "// Subscribe the endpoint at Stripe to these types: ")
	comment, _, found := strings.Cut(comment, ".\nfunc (p *Payments) Register(")
	require.True(t, found)
	documented := strings.Split(strings.ReplaceAll(comment, "\n// ", " "), ", ")
	require.ElementsMatch(t, documented, payments.EventTypes())
	w := newWorld(t, setup{})
	none := webhook.Batch{Choose: "x", Apply: "x",
		Row: func(context.Context, webhook.Event) (any, bool) { return nil, false }}
	for _, eventType := range payments.EventTypes() {
		require.NotPanics(t, func() { w.receiver.HandleBatch(eventType, none) }, "%s has a handler", eventType)
	}
	require.Panics(t, func() { w.receiver.HandleBatch("charge.captured", none) })
}

func (w *world) actors(id string) (all []string) {
	w.t.Helper()
	changes, err := w.bookings.History(w.t.Context(), id)
	require.NoError(w.t, err)
	for _, c := range changes {
		all = append(all, string(c.To)+" by "+c.Actor)
	}
	return all
}

// endHoldWithoutEvents holds Stripe's events, so that the step ends the hold.
func (w *world) endHoldWithoutEvents(b booking.Booking) {
	w.t.Helper()
	w.endHold(b.ID)
	w.stripe.HoldDelivery()
}

func TestHistory_NamesTheEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	paid, left, gone := w.hold(0), w.hold(1), w.hold(2)
	w.checkout(gone)
	require.Equal(t, 200, w.send("evt_paid", "checkout.session.completed", session(w.checkout(paid), nil)))
	require.Equal(t, []string{"pending by ", "confirmed by stripe:evt_paid"}, w.actors(paid.ID))
	require.Equal(t, 200, w.send("evt_left", "checkout.session.expired",
		session(w.checkout(left), map[string]any{"payment_status": "unpaid"})))
	require.Equal(t, []string{"pending by ", "expired by stripe:evt_left"}, w.actors(left.ID))

	w.endHoldWithoutEvents(gone)
	ended, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, ended)
	require.Equal(t, []string{"pending by ", "expired by payments"}, w.actors(gone.ID))
}

func TestHistory_NamesCallersActor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.checkout(b)
	w.endHoldWithoutEvents(b)
	_, err := w.payments.ExpireSessions(booking.WithActor(t.Context(), "user:ops@example.com"))
	require.NoError(t, err)
	require.Equal(t, []string{"pending by ", "expired by user:ops@example.com"}, w.actors(b.ID))
}

// M17: A payment that is processing beyond the slot's start does not keep the hold.
func TestEvents_ProcessingHoldEndsAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	require.Equal(t, 200, w.send("evt_1", "checkout.session.completed",
		session(c, map[string]any{"payment_status": "unpaid"})))
	got, err := w.bookings.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b.Start, got.HoldExpiresAt)
}
