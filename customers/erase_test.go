package customers_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/customers"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// Everything that is kept about a customer is found and erased, and nothing of others.
func TestErase_NothingIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.live(augusta)
	w.events(augusta, l, "1")
	w.strangers(augusta, l)
	w.login(augusta)
	var kept []string
	for _, other := range others {
		b, checkout := w.paid(other)
		kept = append(kept, b.ID)
		// The customer is staff too, and has changed another's booking.
		actor := "user:" + strings.ToLower(augusta.Email)
		_, err := w.payments.Cancel(booking.WithActor(t.Context(), actor), booking.CancelRequest{ID: b.ID})
		require.NoError(t, err)
		_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: checkout.PaymentID, Amount: 100,
			Cause: "case 1", Actor: actor})
		require.ErrorIs(t, err, payments.ErrNothingToRefund)
		w.deliver(w.receiver, "evt_other_"+other.LastName, "charge.updated",
			charge(other, w.intentOf(checkout)))
	}
	w.settle()
	before := w.rowsOf(kept...)
	require.GreaterOrEqual(t, len(w.traces(augusta)), 30, "the customer is in the tables")

	report, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.ErrorIs(t, err, customers.ErrNotYet)
	require.Equal(t, []customers.NotYet{{Reason: customers.ReasonActiveUser}}, report.NotYet)
	require.Zero(t, report.Changed())
	_, err = w.users.Disable(t.Context(), augusta.Email)
	require.NoError(t, err)
	w.exec(`INSERT INTO booking_platform.sessions (token_hash, user_id, expires_at)
		SELECT '\x01', id::text, now() + interval '1 day' FROM booking_platform.users WHERE email = lower($1::text)`,
		augusta.Email)

	planned, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{DryRun: true})
	require.NoError(t, err)
	report, err = w.people.Erase(t.Context(), strings.ToUpper(augusta.Email), customers.EraseOptions{})
	require.NoError(t, err)
	require.Empty(t, w.traces(augusta))
	require.Equal(t, before, w.rowsOf(kept...), "what belongs to others stays")

	require.Equal(t, len(l.bookings), report.Bookings)
	require.Equal(t, 10, report.Payments)
	require.Equal(t, 6, report.Events)
	require.Equal(t, 2, report.Refunds)
	require.Equal(t, 1, report.Users)
	require.Equal(t, 1, report.Sessions)
	require.Positive(t, report.Actors)
	require.Positive(t, report.History)
	planned.DryRun, planned.Actors = false, report.Actors
	require.Equal(t, report, planned, "a dry run counts what an erasure changes")

	again, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	require.Zero(t, again.Changed())
	require.Empty(t, again.NotYet)

	for _, other := range others {
		record, err := w.receiver.Ledger().Find(t.Context(), "evt_other_"+other.LastName)
		require.NoError(t, err)
		require.Contains(t, string(record.Payload), other.Email)
	}
	// The failed event is processed when its handler works again.
	w.broken = nil
	w.requireBooks()
}

func TestErase_StaffActors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.login(augusta)
	actor := "user:" + strings.ToLower(augusta.Email)
	b := w.hold(others[0])
	pay, err := w.payments.RecordDesk(t.Context(), payments.DeskPayment{BookingID: b.ID, Amount: b.Amount,
		Method: "cash", Actor: actor})
	require.NoError(t, err)
	refund, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: pay.ID, Cause: "c", Actor: actor})
	require.NoError(t, err)
	_, err = w.payments.MarkRefundPaid(t.Context(), payments.PaidRefund{RefundID: refund.ID, Actor: actor})
	require.NoError(t, err)
	_, err = w.users.Disable(t.Context(), augusta.Email)
	require.NoError(t, err)
	require.NotEmpty(t, w.traces(augusta))
	report, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	require.Equal(t, 3, report.Actors, "an entry of the history, the payment and its refund")
	require.Empty(t, w.traces(augusta))
	got, err := w.bookings.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, others[0], got.Customer)
}

// Events that arrive after an erasure are applied, and do not bring the customer back.
func TestErase_LateEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.live(augusta)
	report, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	require.Equal(t, len(l.bookings), report.Bookings)

	w.events(augusta, l, "late")
	_, err = w.stripe.Dispute(l.completed.SessionID)
	require.NoError(t, err)
	w.settle()
	require.Empty(t, w.traces(augusta))
	pay, err := w.payments.Get(t.Context(), l.completed.PaymentID)
	require.NoError(t, err)
	require.Equal(t, payments.StatusDisputed, pay.Status())
	w.requireBooks()

	failed, err := w.receiver.Ledger().Find(t.Context(), "evt_failed_late")
	require.NoError(t, err)
	require.Equal(t, webhook.Failed, failed.Outcome)
	require.Contains(t, string(failed.Payload), pay.PaymentIntentID, "it can be processed again")
	replayed, err := w.receiver.Replay(t.Context(), webhook.ReplayOptions{IDs: []string{"evt_failed_late"}})
	require.NoError(t, err)
	require.Len(t, replayed, 1)
	require.Empty(t, w.traces(augusta))

	// The same events about another customer are stored as they came.
	other := w.live(others[0])
	w.events(others[0], other, "other")
	record, err := w.receiver.Ledger().Find(t.Context(), "evt_ignored_other")
	require.NoError(t, err)
	require.Contains(t, string(record.Payload), others[0].Email)
}

// Each reason why a customer is still needed is named, and nothing changes.
func TestErase_NotYet(t *testing.T) {
	t.Parallel()
	refund := func(w *world) string {
		b, checkout := w.paid(augusta)
		w.past(b.ID)
		_, err := w.payments.Refund(w.t.Context(), payments.RefundRequest{PaymentID: checkout.PaymentID, Cause: "c"})
		require.NoError(w.t, err)
		return b.ID
	}
	for _, c := range []struct {
		reason    customers.Reason
		forceable bool
		prepare   func(w *world) string
	}{
		{customers.ReasonNotOver, false, func(w *world) string { b := w.hold(augusta); return b.ID }},
		{customers.ReasonNotOver, false, func(w *world) string { b, _ := w.paid(augusta); return b.ID }},
		{"checkout_open", false, func(w *world) string {
			b := w.hold(augusta)
			w.checkout(b)
			_, err := w.bookings.Release(w.t.Context(), b.ID)
			require.NoError(w.t, err)
			return b.ID
		}},
		{"processing", false, func(w *world) string {
			b := w.hold(augusta)
			_, err := w.stripe.PayDelayed(w.t.Context(), w.checkout(b).SessionID)
			require.NoError(w.t, err)
			w.settle()
			w.past(b.ID)
			_, err = w.bookings.Release(w.t.Context(), b.ID)
			require.NoError(w.t, err)
			return b.ID
		}},
		{"dispute_open", true, func(w *world) string {
			b, checkout := w.paid(augusta)
			w.past(b.ID)
			_, err := w.stripe.Dispute(checkout.SessionID)
			require.NoError(w.t, err)
			w.settle()
			return b.ID
		}},
		{"refund_due", true, refund},
		{"refund_pending", true, func(w *world) string {
			w.stripe.MakeRefundsPending(1)
			id := refund(w)
			w.settle()
			return id
		}},
		{"refund_failed", true, func(w *world) string {
			id := refund(w)
			w.settle()
			_, err := w.stripe.FailRefund(w.stripe.Refunds()[0].ID, "lost_or_stolen_card")
			require.NoError(w.t, err)
			w.settle()
			return id
		}},
		{"parked", true, func(w *world) string {
			b, _ := w.paid(augusta)
			w.past(b.ID)
			w.exec(`UPDATE booking_platform.payments SET parked = true, parked_reason = 'amount_differs'
				WHERE booking_id = $1::uuid`, b.ID)
			return b.ID
		}},
		{"refund_unknown", true, func(w *world) string {
			b, _ := w.paid(augusta)
			w.past(b.ID)
			w.exec(`UPDATE booking_platform.payments SET refunds_unknown = 1 WHERE booking_id = $1::uuid`, b.ID)
			return b.ID
		}},
	} {
		t.Run(string(c.reason), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			done, _ := w.paid(augusta)
			w.past(done.ID)
			id := c.prepare(w)
			before := w.rowsOf(done.ID, id)

			for _, opts := range []customers.EraseOptions{{}, {DryRun: true}, {Force: !c.forceable}} {
				report, err := w.people.Erase(t.Context(), augusta.Email, opts)
				require.ErrorIs(t, err, customers.ErrNotYet)
				require.Len(t, report.NotYet, 1)
				require.Equal(t, c.reason, report.NotYet[0].Reason)
				require.Equal(t, id, report.NotYet[0].BookingID)
				require.Equal(t, c.forceable, report.NotYet[0].Forceable)
				require.Equal(t, before, w.rowsOf(done.ID, id), "nothing has changed")
			}
			if c.forceable {
				report, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{Force: true})
				require.NoError(t, err)
				require.Equal(t, 2, report.Bookings)
				require.Empty(t, w.traces(augusta))
			}
		})
	}
}

// A refund that was asked for with a cause is not made again after the cause was erased.
func TestErase_CauseStillRefundsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, checkout := w.paid(augusta)
	w.past(b.ID)
	req := payments.RefundRequest{PaymentID: checkout.PaymentID, Amount: 500, Cause: "sorry, Augusta Byronova"}
	first, err := w.payments.Refund(t.Context(), req)
	require.NoError(t, err)
	w.settle()
	_, err = w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	require.Empty(t, w.traces(augusta))
	second, err := w.payments.Refund(t.Context(), req)
	require.NoError(t, err)
	require.Equal(t, first.ID, second.ID)
	w.settle()
	w.requireBooks()
	require.Len(t, w.stripe.Refunds(), 1)
}

// Three replicas erase a customer who books meanwhile: new bookings stay whole.
func TestErase_WhileCustomerBooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var old []string
	for range 20 {
		b, _ := w.paid(augusta)
		old = append(old, b.ID)
	}
	w.past(old...)
	var all sync.WaitGroup
	var mu sync.Mutex
	changed := 0
	for range 3 {
		all.Go(func() {
			report, err := w.people.Erase(context.Background(), augusta.Email, customers.EraseOptions{})
			if err != nil && !errors.Is(err, customers.ErrNotYet) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			changed += report.Bookings
		})
	}
	var fresh []booking.Booking
	all.Go(func() {
		for n := range 10 {
			b, err := w.bookings.Hold(context.Background(), booking.HoldRequest{Resource: w.resource.ID,
				Start:    time.Now().UTC().Truncate(time.Hour).Add(time.Duration(500+n) * time.Hour),
				Customer: augusta})
			if err != nil {
				t.Error(err)
				return
			}
			fresh = append(fresh, b)
		}
	})
	all.Wait()
	for _, b := range fresh {
		got, err := w.bookings.Get(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, augusta, got.Customer)
		_, err = w.bookings.Release(t.Context(), b.ID)
		require.NoError(t, err)
	}
	report, err := w.people.Erase(t.Context(), augusta.Email, customers.EraseOptions{})
	require.NoError(t, err)
	require.Equal(t, len(old)+len(fresh), changed+report.Bookings)
	require.Empty(t, w.traces(augusta))
	w.requireBooks()
}

func TestErase_UnknownCustomer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, email := range []string{"", "  "} {
		_, err := w.people.Erase(t.Context(), email, customers.EraseOptions{})
		require.ErrorIs(t, err, customers.ErrUnknown)
	}
	report, err := w.people.Erase(t.Context(), "unknown@example.com", customers.EraseOptions{})
	require.NoError(t, err)
	require.Zero(t, report.Changed())
	_, err = customers.New(customers.Parts{}, customers.Options{})
	require.Error(t, err)
}
