package payments_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
)

func TestResume_WhatCanBePaid(t *testing.T) {
	t.Parallel()
	db, trips := testdb.Counting(t)
	w := newWorld(t, setup{db: db})
	booked := w.book(w.request(0))
	s, err := w.stripe.Session(booked.SessionID)
	require.NoError(t, err)
	require.Equal(t, appURL+"/cancel?booking="+booked.Booking.ID+"&session_id={CHECKOUT_SESSION_ID}", s.CancelURL)
	before := trips.Load()
	c, left, err := w.payments.Resume(t.Context(), booked.Booking.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, trips.Load()-before)
	require.Equal(t, []string{booked.URL, booked.SessionID, booked.PaymentID},
		[]string{c.URL, c.SessionID, c.PaymentID})
	require.Greater(t, left, 34*time.Minute)
	require.LessOrEqual(t, left, 35*time.Minute)

	unstarted := w.hold(1)
	_, _, err = w.payments.Resume(t.Context(), unstarted.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	ended := w.book(w.request(2))
	w.endHold(ended.Booking.ID)
	_, _, err = w.payments.Resume(t.Context(), ended.Booking.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
	w.pay(c)
	_, _, err = w.payments.Resume(t.Context(), booked.Booking.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
}

func TestGiveUp_FreesTheSlotAndEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	booked := w.book(w.request(0))
	// Several windows at once.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			b, err := w.payments.GiveUp(t.Context(), booked.Booking.ID)
			if err != nil || b.Status != booking.StatusCancelled {
				t.Errorf("%s: %v", b.Status, err)
			}
		})
	}
	wg.Wait()
	s, err := w.stripe.Session(booked.SessionID)
	require.NoError(t, err)
	require.EqualValues(t, stripe.CheckoutSessionStatusExpired, s.Status)
	require.Equal(t, payments.StatusExpired, w.payment(booked.Booking.ID).Status())
	w.requireFree(0)
	_, err = w.payments.GiveUp(t.Context(), "01936f4e-0000-7000-8000-000000000001")
	require.ErrorIs(t, err, booking.ErrNotFound)
}

// A stale page gives up nothing that was paid for, or is being paid for.
func TestGiveUp_OnlyAHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	paid := w.book(w.request(0))
	w.pay(payments.Checkout{SessionID: paid.SessionID})
	_, err := w.payments.GiveUp(t.Context(), paid.Booking.ID)
	var status *booking.StatusError
	require.ErrorAs(t, err, &status)
	require.Equal(t, booking.StatusConfirmed, w.status(paid.Booking.ID))

	coming := w.book(w.request(1))
	w.exec(`UPDATE booking_platform.payments SET completed = true WHERE booking_id = $1::uuid`, coming.Booking.ID)
	_, err = w.payments.GiveUp(t.Context(), coming.Booking.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	require.Equal(t, booking.StatusPending, w.status(coming.Booking.ID))
}

// While Stripe cannot be reached the hold is given up all the same, and the step ends the
// session later.
func TestGiveUp_StripeUnavailable(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	booked := w.book(w.request(0))
	down.Store(true)
	b, err := w.payments.GiveUp(t.Context(), booked.Booking.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusCancelled, b.Status)
	require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status())
	down.Store(false)
	w.exec(`UPDATE booking_platform.payments SET leased_until = NULL`)
	ended, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, ended)
}

// The customer paid in another window a moment ago, and the event is on its way: the money
// goes back.
func TestGiveUp_PaidAtStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	booked := w.book(w.request(0))
	w.exec(`ALTER TABLE booking_platform.payment_events RENAME TO payment_events_away`)
	_, err := w.stripe.Pay(t.Context(), booked.SessionID)
	require.NoError(t, err)
	b, err := w.payments.GiveUp(t.Context(), booked.Booking.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusCancelled, b.Status)
	pay := w.payment(b.ID)
	require.EqualValues(t, price, pay.Captured.Minor)
	w.exec(`ALTER TABLE booking_platform.payment_events_away RENAME TO payment_events`)
	w.settle(1)
	require.Len(t, w.refundsOf(pay), 1)
}
