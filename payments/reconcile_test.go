package payments_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// endSessions moves the end of all sessions into the past, here and not at Stripe.
func (w *world) endSessions() {
	w.exec(`UPDATE booking_platform.payments
		SET session_expires_at = statement_timestamp() - interval '1 second', leased_until = NULL`)
}

func withoutWebhooks(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, setup{})
	w.stripe.HoldDelivery()
	return w
}

// Each payment is settled by the steps alone.
func TestReconcilePayments_WebhooksLost(t *testing.T) {
	t.Parallel()
	w := withoutWebhooks(t)
	paid, delayed, refused, waiting, left, open := w.hold(0), w.hold(1), w.hold(2), w.hold(3), w.hold(4), w.hold(5)
	_, err := w.stripe.Pay(t.Context(), w.checkout(paid).SessionID)
	require.NoError(t, err)
	for _, b := range []booking.Booking{delayed, refused, waiting} {
		_, err = w.stripe.PayDelayed(t.Context(), w.checkout(b).SessionID)
		require.NoError(t, err)
	}
	_, err = w.stripe.SettlePayment(w.payment(delayed.ID).SessionID)
	require.NoError(t, err)
	_, err = w.stripe.FailPayment(w.payment(refused.ID).SessionID)
	require.NoError(t, err)
	_, err = w.stripe.Expire(w.checkout(left).SessionID)
	require.NoError(t, err)
	w.checkout(open)

	settled, err := w.payments.ReconcilePayments(t.Context())
	require.NoError(t, err)
	require.Zero(t, settled, "none has ended")
	w.endSessions()
	settled, err = w.payments.ReconcilePayments(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, settled)
	for _, want := range []struct {
		id      string
		payment payments.Status
		booking booking.Status
	}{
		{paid.ID, payments.StatusPaid, booking.StatusConfirmed},
		{delayed.ID, payments.StatusPaid, booking.StatusConfirmed},
		{refused.ID, payments.StatusFailed, booking.StatusExpired},
		{left.ID, payments.StatusExpired, booking.StatusExpired},
		{open.ID, payments.StatusOpen, booking.StatusPending}, {waiting.ID, payments.StatusOpen, booking.StatusPending},
	} {
		require.Equal(t, want.booking, w.status(want.id))
		require.Equal(t, want.payment, w.payment(want.id).Status())
	}
	settled, err = w.payments.ReconcilePayments(t.Context())
	require.NoError(t, err)
	require.Zero(t, settled, "waiting ones are not read again at once")

	// The events arrive late and change nothing.
	_, err = w.stripe.ReleaseDelivery(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))
	require.Equal(t, booking.StatusConfirmed, w.status(delayed.ID))
	require.Equal(t, payments.StatusFailed, w.payment(refused.ID).Status())
	require.Equal(t, map[string]int{"confirmed": 2}, w.confirmations())
	w.requireBooks()
}

func (w *world) confirmations() map[string]int {
	w.t.Helper()
	var n int
	require.NoError(w.t,
		w.db.QueryRow(`SELECT count(*) FROM booking_platform.booking_history WHERE to_status = 'confirmed'`).Scan(&n))
	return map[string]int{"confirmed": n}
}

// What Stripe says counts; the visit itself proves nothing.
func TestRefreshSession_BeforeWebhook(t *testing.T) {
	t.Parallel()
	w := withoutWebhooks(t)
	b := w.hold(0)
	c := w.checkout(b)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	w.exec(`UPDATE booking_platform.payments SET page_read_at = statement_timestamp() - interval '6 seconds'`)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	// Several at once, as when a browser reloads.
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := refreshSession(t.Context(), w.payments, c.SessionID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, map[string]int{"confirmed": 1}, w.confirmations())
	require.ErrorIs(t, refreshSession(t.Context(), w.payments, "cs_unknown"), payments.ErrNotFound)
}

// M23: Two replicas read Stripe once. If the one that reads disconnects, another reads a
// few seconds later.
func TestRefreshSession_OncePerPaymentAndInterval(t *testing.T) {
	t.Parallel()
	w := withoutWebhooks(t)
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	replica, err := payments.New(w.db, w.bookings, secretKey, appURL, payments.Options{BaseURL: w.api})
	require.NoError(t, err)
	get := func(r *http.Request) bool { return r.Method == http.MethodGet }
	f := w.stripe.Fault(get, stripetest.HangBefore, 100)
	ctx, leave := context.WithCancel(t.Context())
	first, others := make(chan error, 1), make(chan error, 4)
	go func() { first <- refreshSession(ctx, w.payments, c.SessionID) }()
	require.NoError(t, f.Wait(t.Context(), 1))
	// The five seconds must not pass during this test.
	w.exec(`UPDATE booking_platform.payments SET page_read_at = statement_timestamp() + interval '1 hour'`)
	for range 4 {
		go func() {
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			others <- refreshSession(short, w.payments, c.SessionID)
		}()
	}
	for range 10 {
		require.NoError(t, refreshSession(t.Context(), replica, c.SessionID), "the other replica does not wait")
	}
	for range 4 {
		require.ErrorIs(t, <-others, context.DeadlineExceeded, "they wait for the first")
	}
	leave()
	require.ErrorIs(t, <-first, context.Canceled)
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	require.Equal(t, 1, f.Fired())
	require.Equal(t, booking.StatusPending, w.status(b.ID))
	waiting, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, refreshSession(waiting, w.payments, c.SessionID), context.Canceled)

	w.exec(`UPDATE booking_platform.payments SET page_read_at = statement_timestamp() - interval '6 seconds'`)
	for range 4 {
		go func() { others <- refreshSession(t.Context(), w.payments, c.SessionID) }()
	}
	require.NoError(t, f.Wait(t.Context(), 2))
	f.Release()
	for range 4 {
		require.NoError(t, <-others)
	}
	require.Equal(t, 2, f.Fired(), "one for all")
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
}

// M23: The next visit may read at once.
func TestRefreshSession_Timeout(t *testing.T) {
	t.Parallel()
	w := withoutWebhooks(t)
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	f := w.stripe.Fault(nil, stripetest.HangBefore, 1)
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, refreshSession(short, w.payments, c.SessionID), context.DeadlineExceeded)
	require.Equal(t, 1, f.Fired())
	require.NoError(t, refreshSession(t.Context(), w.payments, c.SessionID))
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
}

// Such events are not listed; the sessions themselves are read.
func TestReconcilePayments_EventsNeverMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{NeverMade: func(stripetest.Event) bool { return true }}})
	paid, delayed, refused, left, gone := w.hold(0), w.hold(1), w.hold(2), w.hold(3), w.hold(4)
	at := func(_ any, err error) { t.Helper(); require.NoError(t, err) }
	at(w.stripe.Pay(t.Context(), w.checkout(paid).SessionID))
	c := w.checkout(delayed)
	at(w.stripe.PayDelayed(t.Context(), c.SessionID))
	at(w.stripe.SettlePayment(c.SessionID))
	c = w.checkout(refused)
	at(w.stripe.PayDelayed(t.Context(), c.SessionID))
	at(w.stripe.FailPayment(c.SessionID))
	at(w.stripe.Expire(w.checkout(left).SessionID))
	w.checkout(gone)
	w.endHold(gone.ID)
	require.Zero(t, w.fetchUndelivered())
	at(w.payments.ExpireSessions(t.Context()))
	w.reconcile()
	for id, want := range map[string]payments.Status{
		paid.ID: payments.StatusPaid, delayed.ID: payments.StatusPaid, refused.ID: payments.StatusFailed,
		left.ID: payments.StatusExpired,
		gone.ID: payments.StatusExpired,
	} {
		require.Equal(t, want, w.payment(id).Status())
	}
	require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))
	require.Equal(t, booking.StatusExpired, w.status(refused.ID))
}
