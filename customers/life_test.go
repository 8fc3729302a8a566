package customers_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// life is a customer with bookings and payments in every settled state.
type life struct {
	bookings  []string
	completed payments.Checkout
}

func (w *world) live(c booking.Customer) (l life) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	name := c.FirstName + " " + c.LastName
	keep := func(b booking.Booking) booking.Booking { l.bookings = append(l.bookings, b.ID); return b }

	completed, checkout := w.paid(c)
	keep(completed)
	w.past(completed.ID)
	_, err := w.bookings.Complete(ctx, completed.ID)
	require.NoError(t, err)
	l.completed = checkout

	missed, _ := w.paid(c)
	keep(missed)
	w.past(missed.ID)
	_, err = w.bookings.NoShow(booking.WithActor(ctx, "user:staff@example.com"), missed.ID)
	require.NoError(t, err)

	ended, _ := w.paid(c) // Still confirmed.
	keep(ended)
	w.past(ended.ID)

	cancelled, _ := w.paid(c)
	keep(cancelled)
	_, err = w.payments.Cancel(ctx, booking.CancelRequest{ID: cancelled.ID, Reason: name + " is ill"})
	require.NoError(t, err)

	expired := keep(w.hold(c))
	w.checkout(expired)
	w.expire(expired)

	released := keep(w.hold(c))
	_, err = w.bookings.Release(ctx, released.ID)
	require.NoError(t, err)

	abandoned := keep(w.hold(c))
	create := func(r *http.Request) bool { return r.Method == http.MethodPost }
	fault := w.stripe.Fault(create, stripetest.NotFound, 1)
	_, err = w.payments.Checkout(ctx, abandoned.ID)
	require.Error(t, err)
	require.Equal(t, 1, fault.Fired())
	require.NoError(t, w.payments.Abandon(ctx, abandoned.ID))

	for _, won := range []bool{true, false} {
		disputed, checkout := w.paid(c)
		keep(disputed)
		w.past(disputed.ID)
		d, err := w.stripe.Dispute(checkout.SessionID)
		require.NoError(t, err)
		_, err = w.stripe.CloseDispute(d.ID, won)
		require.NoError(t, err)
	}

	refunded, checkout := w.paid(c)
	keep(refunded)
	w.past(refunded.ID)
	_, err = w.payments.Refund(ctx, payments.RefundRequest{PaymentID: checkout.PaymentID, Amount: 500,
		Cause: "complaint of " + name, Reason: name + " wrote from " + c.Email, Actor: "user:staff@example.com"})
	require.NoError(t, err)
	w.settle()
	_, err = w.stripe.RefundFromDashboard(checkout.SessionID, 300)
	require.NoError(t, err)

	failed := keep(w.hold(c))
	checkout = w.checkout(failed)
	_, err = w.stripe.PayDelayed(ctx, checkout.SessionID)
	require.NoError(t, err)
	w.settle()
	_, err = w.stripe.FailPayment(checkout.SessionID)
	require.NoError(t, err)

	w.settle()
	return l
}

// events are about a customer, of every outcome, with the payload.
func (w *world) events(c booking.Customer, l life, id string) {
	w.t.Helper()
	intent := w.intentOf(l.completed)
	// It has no handler here; the other service does, and keeps its payload.
	require.Equal(w.t, http.StatusOK, w.deliver(w.receiver, "evt_ignored_"+id, "charge.updated", charge(c, intent)))
	require.Equal(w.t, http.StatusOK, w.deliver(w.keeping, "evt_kept_"+id, "kept.event", charge(c, intent)))
	w.broken = errors.New("cannot write to " + c.Email)
	require.Equal(w.t, http.StatusInternalServerError,
		w.deliver(w.receiver, "evt_failed_"+id, "broken.event", charge(c, intent)))
}

// strangers have the customer's address but are about other products of the same Stripe
// account, or have other outcomes.
func (w *world) strangers(c booking.Customer, l life) {
	w.t.Helper()
	require.Equal(w.t, http.StatusOK, w.deliver(w.receiver, "evt_customer", "customer.updated",
		map[string]any{"id": "cus_1", "object": "customer", "email": c.Email, "name": c.FirstName}))
	require.Equal(w.t, http.StatusOK, w.deliver(w.receiver, "evt_unmatched", "charge.refunded", charge(c, "pi_other")))
	w.exec(`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, stripe_session_id, outcome,
			payload, processed_at)
		VALUES ('default', 'evt_parked', 'checkout.session.completed', $1::text, 'parked', $2::text, now())`,
		l.completed.SessionID, fmt.Sprintf(`{"id":"evt_parked","type":"checkout.session.completed","data":{"object":
			{"id":%q,"object":"checkout.session","customer_details":{"name":%q,"email":%q}}}}`,
			l.completed.SessionID, c.FirstName, c.Email))
}

func (w *world) login(c booking.Customer) {
	w.t.Helper()
	_, err := w.users.Add(w.t.Context(), c.Email, "correct horse battery", auth.RoleOps)
	require.NoError(w.t, err)
	a, err := auth.New(w.db, []string{strings.Repeat("a", 32)}, auth.Options{Users: w.users})
	require.NoError(w.t, err)
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/login", nil)
	_, err = a.Login(w.t.Context(), httptest.NewRecorder(), req, c.Email, "correct horse battery")
	require.NoError(w.t, err)
	_, err = a.Login(w.t.Context(), httptest.NewRecorder(), req, c.Email, "wrong horse battery")
	require.ErrorIs(w.t, err, auth.ErrCredentials)
}

func (w *world) requireBooks() {
	w.t.Helper()
	broken, err := faults.Broken(w.t.Context(), w.db, faults.TruthOf(w.stripe))
	require.NoError(w.t, err)
	require.Empty(w.t, broken)
}
