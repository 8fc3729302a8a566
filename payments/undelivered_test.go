package payments_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func lost(stripetest.Event) []time.Duration { return nil }

func (w *world) fetchUndelivered() int {
	w.t.Helper()
	n, err := w.payments.FetchUndelivered(w.t.Context(), w.receiver)
	require.NoError(w.t, err)
	return n
}

// Everything that can happen to a payment is applied once from the list.
func TestFetchUndelivered_WebhooksLost(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{stripe: stripetest.Options{Deliver: lost}})
	require.Zero(t, w.fetchUndelivered())
	sessions := make([]payments.Checkout, 6)
	ids := make([]string, 6)
	for i := range sessions {
		b := w.hold(i)
		ids[i], sessions[i] = b.ID, w.checkout(b)
	}
	at := func(_ any, err error) { t.Helper(); require.NoError(t, err) }
	const paid, refused, left, refunded, disputed, delayed = 0, 1, 2, 3, 4, 5
	for _, i := range []int{paid, refunded, disputed} {
		at(w.stripe.Pay(t.Context(), sessions[i].SessionID))
	}
	at(w.stripe.PayDelayed(t.Context(), sessions[refused].SessionID))
	at(w.stripe.FailPayment(sessions[refused].SessionID))
	at(w.stripe.PayDelayed(t.Context(), sessions[delayed].SessionID))
	at(w.stripe.Expire(sessions[left].SessionID))
	at(w.stripe.RefundFromDashboard(sessions[refunded].SessionID, 0))
	at(w.stripe.Dispute(sessions[disputed].SessionID))
	at(w.stripe.CloseDispute(sessions[disputed].SessionID, false))

	// On several replicas at once. The newest come first, so some match only after
	// others; RetryWaiting retries those.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := w.payments.FetchUndelivered(t.Context(), w.receiver); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.fetchUndelivered()
	_, err := w.receiver.RetryWaiting(t.Context())
	require.NoError(t, err)
	_, err = w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	for i, want := range []struct {
		payment payments.Status
		booking booking.Status
	}{
		paid: {payments.StatusPaid, booking.StatusConfirmed}, refused: {payments.StatusFailed, booking.StatusExpired},
		left:     {payments.StatusExpired, booking.StatusExpired},
		refunded: {payments.StatusRefunded, booking.StatusCancelled},
		disputed: {payments.StatusDisputeLost, booking.StatusConfirmed},
		delayed:  {payments.StatusProcessing, booking.StatusPending},
	} {
		require.Equal(t, want.payment, w.payment(ids[i]).Status(), "%d", i)
		require.Equal(t, want.booking, w.status(ids[i]), "%d", i)
	}
	require.Equal(t, []string{"cancelled", "paid", "refunded"}, w.transitionsOf(sessions[refunded].PaymentID))
	require.Equal(t, []string{"dispute_closed", "disputed", "paid"}, w.transitionsOf(sessions[disputed].PaymentID))
	require.Zero(t, w.fetchUndelivered(), "all of them are duplicates")
	w.requireBooks()
}

// In pages of a hundred, each event once.
func TestFetchUndelivered_Pages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 200, stripe: stripetest.Options{Deliver: lost}})
	for range 110 {
		_, err := w.stripe.Expire(w.checkout(w.hold(0)).SessionID)
		require.NoError(t, err)
	}
	require.Equal(t, 110, w.fetchUndelivered())
	require.Zero(t, w.fetchUndelivered())
}

// A run reads a bounded number of pages, and the next continues there. A failed event
// delays no other.
func TestFetchUndelivered_BoundedRuns(t *testing.T) {
	t.Parallel()
	var asked []string
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			after := 0
			if s := q.Get("starting_after"); s != "" {
				_, _ = fmt.Sscanf(s, "evt_%d", &after)
			}
			asked = append(asked, fmt.Sprint(after, q.Get("delivery_success"), q.Get("limit"), len(q["types[0]"]),
				q.Get("created[gte]") != ""))
			_, _ = fmt.Fprintf(rw, `{"object":"list","has_more":%t,"data":[{"id":"evt_%d","object":"event",
				"type":"no.such.type","data":{"object":{}}}]}`, after < 12, after+1)
		})
	}})
	want := func(from, to int) (all []string) {
		for i := from; i <= to; i++ {
			all = append(all, fmt.Sprint(i, "false", "100", 1, true))
		}
		return all
	}
	w.fetchUndelivered()
	require.Equal(t, want(0, 9), asked)
	w.fetchUndelivered()
	require.Equal(t, want(0, 12), asked)
	w.fetchUndelivered()
	require.Equal(t, append(want(0, 12), want(0, 9)...), asked, "and starts again")
	entries, err := webhook.NewLedger(w.db, "").List(t.Context(), webhook.ListOptions{Limit: 500})
	require.NoError(t, err)
	require.Len(t, entries, 13)
}

// A failed list is an error, and the next run starts again.
func TestFetchUndelivered_StripeIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lost}})
	_, err := w.stripe.Pay(t.Context(), w.checkout(w.hold(0)).SessionID)
	require.NoError(t, err)
	list := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/v1/events") }
	for _, kind := range []stripetest.FaultKind{stripetest.BadGateway, stripetest.TooMany} {
		f := w.stripe.Fault(list, kind, 2)
		_, err = w.payments.FetchUndelivered(t.Context(), w.receiver)
		require.ErrorIs(t, err, payments.ErrUnavailable)
		f.Release()
	}
	payments.EndPause(w.payments)
	require.Equal(t, 1, w.fetchUndelivered())
}

func (w *world) fetchSince(since time.Time, dry bool) (all []payments.FetchedEvent) {
	w.t.Helper()
	err := w.payments.FetchSince(w.t.Context(), w.receiver, since,
		payments.FetchSinceOptions{DryRun: dry, Each: func(t payments.FetchedEvent) { all = append(all, t) }})
	require.NoError(w.t, err)
	return all
}

// The ledger has lost delivered events. They are applied once, and duplicates afterwards.
func TestFetchSince_DeliveredEvents(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	ours, foreign := w.hold(0), w.hold(1)
	c, gone := w.checkout(ours), w.checkout(foreign)
	w.pay(c)
	w.pay(gone)
	// A backup from before they were paid, in which one of the two does not exist.
	for _, statement := range []string{
		`DELETE FROM booking_platform.payment_events`,
		`UPDATE booking_platform.payments
			SET completed = false, captured_minor = 0, captured_currency = '', stripe_payment_intent_id = NULL`,
		`DELETE FROM booking_platform.payments WHERE booking_id <> '` + ours.ID + `'`,
		`DELETE FROM booking_platform.booking_history WHERE booking_id <> '` + ours.ID + `' OR to_status = 'confirmed'`,
		`DELETE FROM told WHERE id <> '` + ours.ID + `' OR is_now = 'confirmed'`,
		`DELETE FROM booking_platform.bookings WHERE id <> '` + ours.ID + `'`,
		`UPDATE booking_platform.bookings
			SET status = 'pending', hold_expires_at = statement_timestamp() + interval '10 minutes'`,
	} {
		_, err := w.db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	require.Zero(t, w.fetchUndelivered(), "they were delivered, so the step skips them")

	since := time.Now().Add(-time.Hour)
	listed := w.fetchSince(since, true)
	require.Len(t, listed, 2)
	for i, want := range []struct {
		c payments.Checkout
		b booking.Booking
	}{{gone, foreign}, {c, ours}} {
		one := listed[i]
		require.True(t, one.Missing())
		require.Empty(t, one.Outcome, "a dry run")
		require.Equal(t, "checkout.session.completed", one.Type)
		require.Equal(t, []string{want.c.SessionID, want.c.PaymentID, want.b.ID},
			[]string{one.SessionID, one.Reference, one.BookingID})
		require.EqualValues(t, price, one.Amount)
		require.Equal(t, "eur", one.Currency)
	}
	require.Equal(t, booking.StatusPending, w.status(ours.ID))

	outcomes := func(all []payments.FetchedEvent) (out []webhook.Outcome) {
		for _, one := range all {
			require.NoError(t, one.Err)
			out = append(out, one.Outcome)
		}
		return out
	}
	require.Equal(t, []webhook.Outcome{webhook.Unmatched, webhook.Processed}, outcomes(w.fetchSince(since, false)))
	require.Equal(t, booking.StatusConfirmed, w.status(ours.ID))
	require.Equal(t, payments.StatusPaid, w.payment(ours.ID).Status())
	again := w.fetchSince(since, false)
	require.Equal(t, []webhook.Outcome{webhook.Unmatched, webhook.Duplicate}, outcomes(again))
	require.True(t, again[0].Missing())
	require.False(t, again[1].Missing())
	require.Empty(t, w.fetchSince(time.Now().Add(time.Hour), false), "no events since then")
}

// In pages of a hundred, to the end; a failure of Stripe is an error, and a repeat starts
// again.
func TestFetchSince_Pages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 200, stripe: stripetest.Options{Deliver: lost}})
	for range 110 {
		_, err := w.stripe.Expire(w.checkout(w.hold(0)).SessionID)
		require.NoError(t, err)
	}
	calls := 0
	f := w.stripe.Fault(func(r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/events") {
			calls++
		}
		return calls > 1 && strings.HasPrefix(r.URL.Path, "/v1/events")
	}, stripetest.BadGateway, 2)
	var all []payments.FetchedEvent
	take := func() error {
		all = nil
		return w.payments.FetchSince(t.Context(), w.receiver, time.Time{},
			payments.FetchSinceOptions{Each: func(t payments.FetchedEvent) { all = append(all, t) }})
	}
	require.ErrorIs(t, take(), payments.ErrUnavailable)
	require.Len(t, all, 100)
	f.Release()
	require.NoError(t, take())
	require.Len(t, all, 110)
	ids := map[string]bool{}
	for n, one := range all {
		ids[one.ID] = true
		if n >= 100 {
			require.Equal(t, webhook.Processed, one.Outcome)
		} else {
			require.Equal(t, webhook.Duplicate, one.Outcome)
		}
	}
	require.Len(t, ids, 110)
}
