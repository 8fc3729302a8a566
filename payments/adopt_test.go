package payments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func (w *world) intent(amount int64, currency, bookingID string) string {
	w.t.Helper()
	form := url.Values{"amount": {fmt.Sprint(amount)}, "currency": {currency}}
	if bookingID != "" {
		form.Set("metadata[booking_id]", bookingID)
	}
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/v1/payment_intents",
		strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer "+secretKey)
	rec := httptest.NewRecorder()
	w.stripe.ServeHTTP(rec, req)
	require.Equal(w.t, http.StatusOK, rec.Code, rec.Body)
	var made struct{ ID string }
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &made))
	return made.ID
}

func (w *world) adopt(b booking.Booking) string {
	w.t.Helper()
	id := w.intent(b.Amount.Minor, b.Amount.Currency, b.ID)
	pay, err := w.payments.Adopt(w.t.Context(), b.ID, id)
	require.NoError(w.t, err)
	require.Equal(w.t, payments.KindIntent, pay.Kind)
	require.Equal(w.t, payments.StatusOpen, pay.Status())
	return id
}

func (w *world) payIntent(id string) {
	w.t.Helper()
	_, err := w.stripe.PayIntent(w.t.Context(), id)
	require.NoError(w.t, err)
}

func lostEvents(stripetest.Event) []time.Duration { return nil }

func TestAdopt_PaidInTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	id := w.adopt(b)
	again, err := w.payments.Adopt(t.Context(), b.ID, id)
	require.NoError(t, err)
	require.Equal(t, w.payment(b.ID).ID, again.ID)

	require.NoError(t, w.stripe.DeclineIntent(id))
	w.delivered()
	require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status(), "the customer can try again")
	w.payIntent(id)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	pay := w.payment(b.ID)
	require.Equal(t, payments.StatusPaid, pay.Status())
	require.True(t, pay.Applied())
	require.Equal(t, id, pay.PaymentIntentID)
	require.Empty(t, pay.SessionID)
	require.Zero(t, pay.ReconciledAt)
	byIntent, err := w.payments.ByIntent(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, pay.ID, byIntent.ID)
	_, err = w.payments.ByIntent(t.Context(), "pi_\x00")
	require.ErrorIs(t, err, payments.ErrNotFound)

	// The policy's refund is made at Stripe.
	_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	n, err := w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, int64(price), w.stripe.Balance()["eur"].Refunded)
	require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
}

// No event is needed.
func TestAdopt_AfterTheMoney(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lostEvents}})
	paid, delayed := w.hold(0), w.hold(1)
	one, two := w.intent(price, "eur", paid.ID), w.intent(price, "eur", delayed.ID)
	w.payIntent(one)
	_, err := w.stripe.PayIntentDelayed(t.Context(), two)
	require.NoError(t, err)
	pay, err := w.payments.Adopt(t.Context(), paid.ID, one)
	require.NoError(t, err)
	require.Equal(t, payments.StatusPaid, pay.Status())
	require.NotZero(t, pay.ReconciledAt)
	require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))

	pay, err = w.payments.Adopt(t.Context(), delayed.ID, two)
	require.NoError(t, err)
	require.Equal(t, payments.StatusProcessing, pay.Status())
	_, err = w.stripe.SettleIntent(two)
	require.NoError(t, err)
	pay, err = w.payments.RefreshIntent(t.Context(), two)
	require.NoError(t, err)
	require.Equal(t, payments.StatusPaid, pay.Status())
	require.Equal(t, booking.StatusConfirmed, w.status(delayed.ID))
}

// An event before Adopt waits as unmatched; one without metadata is not ours.
func TestAdopt_EventFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b, other := w.hold(0), w.hold(1)
	id := w.intent(price, "eur", b.ID)
	w.payIntent(id)
	foreign := w.intent(price, "eur", "")
	w.payIntent(foreign)
	w.delivered()
	require.Equal(t, map[string]int{"payment_intent.succeeded unmatched": 1, "payment_intent.succeeded ignored": 1,
		"payment_intent.created ignored": 2}, w.outcomes())
	_, err := w.payments.Adopt(t.Context(), b.ID, id)
	require.NoError(t, err)
	_, err = w.payments.Adopt(t.Context(), other.ID, foreign)
	require.NoError(t, err)
	w.retryWaiting()
	require.Equal(t, 1, w.outcomes()["payment_intent.succeeded processed"])
	for _, booked := range []booking.Booking{b, other} {
		require.Equal(t, booking.StatusConfirmed, w.status(booked.ID))
	}
	require.Equal(t, int64(2*price), w.stripe.Balance()["eur"].Kept())
}

func (w *world) retryWaiting() {
	w.t.Helper()
	w.exec(`UPDATE booking_platform.payment_events SET retry_at = statement_timestamp() WHERE outcome = 'unmatched'`)
	_, err := w.receiver.RetryWaiting(w.t.Context())
	require.NoError(w.t, err)
}

func TestAdopt_Refusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{IntentEvents: true}})
	b, other := w.hold(0), w.hold(1)
	adopt := func(bookingID, intent string) error {
		_, err := w.payments.Adopt(t.Context(), bookingID, intent)
		return err
	}
	var amount *payments.AmountError
	require.ErrorAs(t, adopt(b.ID, w.intent(price+1, "eur", b.ID)), &amount)
	require.Equal(t, int64(price+1), amount.Amount.Minor)
	require.ErrorAs(t, adopt(b.ID, w.intent(price, "usd", b.ID)), &amount)
	require.ErrorAs(t, adopt(b.ID, w.intent(price, "jpy", b.ID)), &amount, "2500 yen are not 25 euros")
	require.ErrorIs(t, adopt(b.ID, "pi_unknown"), payments.ErrNotFound)
	require.ErrorIs(t, adopt(b.ID, "ch_1"), payments.ErrNotFound)
	id := w.adopt(b)
	require.ErrorIs(t, adopt(other.ID, id), payments.ErrAdopted)
	require.ErrorIs(t, adopt(b.ID, w.intent(price, "eur", b.ID)), payments.ErrNotPayable, "one open payment")
	require.ErrorIs(t, adopt("0193b3a0-0000-7000-8000-000000000000", id), booking.ErrNotFound)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable, "no Checkout beside it")
	require.NoError(t, w.payments.Abandon(t.Context(), b.ID))
	require.Equal(t, booking.StatusPending, w.status(b.ID), "the customer may be paying")

	cancelled := w.intent(price, "eur", other.ID)
	require.NoError(t, w.stripe.CancelIntent(cancelled))
	require.ErrorIs(t, adopt(other.ID, cancelled), payments.ErrNotPayable)
	lapsed := w.hold(2)
	w.endHold(lapsed.ID)
	require.ErrorIs(t, adopt(lapsed.ID, w.intent(price, "eur", lapsed.ID)), booking.ErrHoldExpired)

	// The PaymentIntent of a Checkout Session is its own.
	c := w.checkout(other)
	w.pay(c)
	w.delivered()
	session, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.ErrorIs(t, adopt(other.ID, session.PaymentIntentID), payments.ErrAdopted)
	require.ErrorIs(t, adopt(b.ID, session.PaymentIntentID), payments.ErrAdopted)
	require.Equal(t, 1, w.outcomes()["payment_intent.succeeded ignored"], "handled once, by its session")
	require.Equal(t, payments.StatusPaid, w.payment(other.ID).Status())

	free := w.newResource("free", 0, 1)
	nothing, err := w.bookings.Hold(t.Context(), booking.HoldRequest{Resource: free.ID, Start: slot(0), Customer: ada})
	require.NoError(t, err)
	require.ErrorIs(t, adopt(nothing.ID, w.intent(price, "eur", nothing.ID)), payments.ErrNotPayable)
}

// Late, twice, of another amount, after a cancellation.
func TestAdopt_MoneyThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"event", "adoption"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			paid := func(b booking.Booking, amount int64, between func()) payments.Payment {
				id := w.intent(amount, "eur", b.ID)
				if by == "event" && amount == price {
					_, err := w.payments.Adopt(t.Context(), b.ID, id)
					require.NoError(t, err)
					between()
					w.payIntent(id)
				} else {
					between()
					w.payIntent(id)
					_, err := w.payments.Adopt(t.Context(), b.ID, id)
					require.NoError(t, err)
				}
				pay, err := w.payments.ByIntent(t.Context(), id)
				require.NoError(t, err)
				return pay
			}
			release := func(b booking.Booking) func() {
				return func() {
					w.endHold(b.ID)
					_, err := w.bookings.ReleaseExpired(t.Context())
					require.NoError(t, err)
				}
			}
			late := w.hold(0)
			require.Equal(t, payments.StatusPaid, paid(late, price, release(late)).Status())
			require.Equal(t, booking.StatusConfirmed, w.status(late.ID), "the slot is taken again")

			lost := w.hold(1)
			pay := paid(lost, price, func() { release(lost)(); w.hold(1) })
			require.Equal(t, payments.ReasonLate, pay.Unapplied)

			cancelled := w.hold(2)
			pay = paid(cancelled, price, func() {
				_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
				require.NoError(t, err)
			})
			require.Equal(t, payments.ReasonCancelled, pay.Unapplied)

			differs := w.hold(3)
			pay = paid(differs, price+100, func() {})
			require.Equal(t, payments.ReasonAmount, pay.ParkedReason)
			require.Equal(t, booking.StatusPending, w.status(differs.ID))

			twice := w.hold(4)
			w.checkout(twice)
			w.pay(w.checkout(twice))
			second := w.intent(price, "eur", twice.ID)
			w.payIntent(second)
			pay, err := w.payments.Adopt(t.Context(), twice.ID, second)
			require.NoError(t, err)
			require.Equal(t, payments.ReasonPaidTwice, pay.Unapplied)

			n, err := w.payments.SettleRefunds(t.Context())
			require.NoError(t, err)
			require.Equal(t, 3, n)
			require.Equal(t, int64(3*price), w.stripe.Balance()["eur"].Refunded)
		})
	}
}

// One booking gets the PaymentIntent, once.
func TestAdopt_Concurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	// On resources of their own, so that no lock keeps the adoptions apart.
	resources := []booking.Resource{w.resource, w.newResource("second", price, 1), w.newResource("third", price, 1)}
	for round := range 5 {
		var bookings []booking.Booking
		for _, r := range resources {
			b, err := w.bookings.Hold(t.Context(),
				booking.HoldRequest{Resource: r.ID, Start: slot(round), Customer: ada})
			require.NoError(t, err)
			bookings = append(bookings, b)
		}
		id := w.intent(price, "eur", bookings[0].ID)
		paid := round%2 == 0
		if paid {
			w.payIntent(id)
		}
		var all sync.WaitGroup
		errs := make([]error, 9)
		for n := range errs {
			all.Go(func() {
				_, errs[n] = w.payments.Adopt(context.WithoutCancel(t.Context()), bookings[n%3].ID, id)
			})
		}
		all.Wait()
		adopted := 0
		for n, err := range errs {
			if err == nil {
				adopted++
				continue
			}
			require.ErrorIs(t, err, payments.ErrAdopted, "round %d, caller %d", round, n)
		}
		require.Equal(t, 3, adopted, "all callers for one booking")
		if !paid {
			w.payIntent(id)
		}
		confirmed := 0
		for _, b := range bookings {
			if w.status(b.ID) == booking.StatusConfirmed {
				confirmed++
			}
		}
		require.Equal(t, 1, confirmed)
	}
}
