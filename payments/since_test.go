package payments_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func (w *world) takeSince(since time.Time, dry bool) (all []payments.FetchedEvent) {
	w.t.Helper()
	err := w.payments.FetchSince(w.t.Context(), w.receiver, since,
		payments.FetchSinceOptions{DryRun: dry, Each: func(t payments.FetchedEvent) { all = append(all, t) }})
	require.NoError(w.t, err)
	return all
}

// The ledger has lost what was delivered. It is listed with what it is about, taken once,
// and a duplicate after that.
func TestEventsSinceATimeAreTakenThoughTheyWereDelivered(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	ours, foreign := w.hold(0), w.hold(1)
	c, gone := w.checkout(ours), w.checkout(foreign)
	w.pay(c)
	w.pay(gone)
	// A backup from before they were paid, in which one of the two was never begun.
	for _, statement := range []string{
		`DELETE FROM booking_platform.payment_events`,
		`UPDATE booking_platform.payments SET completed = false, captured_minor = 0, captured_currency = '', stripe_payment_intent_id = NULL`,
		`DELETE FROM booking_platform.payments WHERE booking_id <> '` + ours.ID + `'`,
		`DELETE FROM booking_platform.booking_history WHERE booking_id <> '` + ours.ID + `' OR to_status = 'confirmed'`,
		`DELETE FROM booking_platform.bookings WHERE id <> '` + ours.ID + `'`,
		`UPDATE booking_platform.bookings SET status = 'pending', hold_expires_at = statement_timestamp() + interval '10 minutes'`,
	} {
		_, err := w.db.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	require.Zero(t, w.takeUndelivered(), "they were delivered, so the step passes them over")

	since := time.Now().Add(-time.Hour)
	listed := w.takeSince(since, true)
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
	require.Equal(t, booking.Pending, w.status(ours.ID))

	outcomes := func(all []payments.FetchedEvent) (out []webhook.Outcome) {
		for _, one := range all {
			require.NoError(t, one.Err)
			out = append(out, one.Outcome)
		}
		return out
	}
	require.Equal(t, []webhook.Outcome{webhook.Unmatched, webhook.Processed}, outcomes(w.takeSince(since, false)))
	require.Equal(t, booking.Confirmed, w.status(ours.ID))
	require.Equal(t, payments.Paid, w.payment(ours.ID).Status())
	again := w.takeSince(since, false)
	require.Equal(t, []webhook.Outcome{webhook.Unmatched, webhook.Duplicate}, outcomes(again))
	require.True(t, again[0].Missing())
	require.False(t, again[1].Missing())
	require.Empty(t, w.takeSince(time.Now().Add(time.Hour), false), "nothing is made since then")
}

// The list is read to its end, in pages of a hundred; what Stripe does not answer is an
// error, and a repeat begins anew.
func TestEventsSinceATimeInPages(t *testing.T) {
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
