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

// lost is how a webhook is lost: no delivery is made, and the event is listed as
// undelivered.
func lost(stripetest.Event) []time.Duration { return nil }

func (w *world) takeUndelivered() int {
	w.t.Helper()
	n, err := w.payments.FetchUndelivered(w.t.Context(), w.receiver)
	require.NoError(w.t, err)
	return n
}

// With every webhook lost, all that can become of a payment arrives by the listing of
// what was not delivered, once.
func TestUndeliveredEventsAreTaken(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{stripe: stripetest.Options{Deliver: lost}})
	require.Zero(t, w.takeUndelivered())
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

	// On several replicas at once. The newest are listed first, so some find their
	// payment's row only with its other events: RetryWaiting, which runs beside this
	// every few seconds, sees to those.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := w.payments.FetchUndelivered(t.Context(), w.receiver); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.takeUndelivered()
	_, err := w.receiver.RetryWaiting(t.Context())
	require.NoError(t, err)
	_, err = w.payments.RefreshRefunds(t.Context())
	require.NoError(t, err)
	for i, want := range []struct {
		payment payments.Status
		booking booking.Status
	}{
		paid: {payments.Paid, booking.Confirmed}, refused: {payments.Failed, booking.Expired},
		left:     {payments.Expired, booking.Expired},
		refunded: {payments.Refunded, booking.Cancelled}, disputed: {payments.DisputeLost, booking.Confirmed},
		delayed: {payments.Processing, booking.Pending},
	} {
		require.Equal(t, want.payment, w.payment(ids[i]).Status(), "%d", i)
		require.Equal(t, want.booking, w.status(ids[i]), "%d", i)
	}
	require.Equal(t, []string{"cancelled", "paid", "refunded"}, w.toldOf(sessions[refunded].PaymentID))
	require.Equal(t, []string{"dispute_closed", "disputed", "paid"}, w.toldOf(sessions[disputed].PaymentID))
	require.Zero(t, w.takeUndelivered(), "all of them are duplicates")
	w.requireBooks()
}

// Events that Stripe never made are in no list. What it has of the sessions is asked for.
func TestEventsThatWereNeverMade(t *testing.T) {
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
	require.Zero(t, w.takeUndelivered())
	at(w.payments.ExpireSessions(t.Context()))
	w.ask()
	for id, want := range map[string]payments.Status{
		paid.ID: payments.Paid, delayed.ID: payments.Paid, refused.ID: payments.Failed, left.ID: payments.Expired,
		gone.ID: payments.Expired,
	} {
		require.Equal(t, want, w.payment(id).Status())
	}
	require.Equal(t, booking.Confirmed, w.status(paid.ID))
	require.Equal(t, booking.Expired, w.status(refused.ID))
}

// A list is read in pages of a hundred, each event once.
func TestUndeliveredEventsInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 200, stripe: stripetest.Options{Deliver: lost}})
	for range 110 {
		_, err := w.stripe.Expire(w.checkout(w.hold(0)).SessionID)
		require.NoError(t, err)
	}
	require.Equal(t, 110, w.takeUndelivered())
	require.Zero(t, w.takeUndelivered())
}

// One run reads a bounded number of pages, and the next one goes on there. An event that
// fails keeps no other from its turn.
func TestUndeliveredEventsAreTakenInBoundedRuns(t *testing.T) {
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
			_, _ = fmt.Fprintf(rw, `{"object":"list","has_more":%t,"data":[{"id":"evt_%d","object":"event","type":"nobody.knows","data":{"object":{}}}]}`, after < 12, after+1)
		})
	}})
	want := func(from, to int) (all []string) {
		for i := from; i <= to; i++ {
			all = append(all, fmt.Sprint(i, "false", "100", 1, true))
		}
		return all
	}
	w.takeUndelivered()
	require.Equal(t, want(0, 9), asked)
	w.takeUndelivered()
	require.Equal(t, want(0, 12), asked)
	w.takeUndelivered()
	require.Equal(t, append(want(0, 12), want(0, 9)...), asked, "and begins anew")
	entries, err := webhook.NewLedger(w.db, "").List(t.Context(), webhook.ListOptions{Limit: 500})
	require.NoError(t, err)
	require.Len(t, entries, 13)
}

// What cannot be listed is an error, and the next run begins anew.
func TestUndeliveredEventsWhileStripeIsDown(t *testing.T) {
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
	require.Equal(t, 1, w.takeUndelivered())
}
