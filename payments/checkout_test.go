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

func TestCheckout_PaidIsConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{RequestID: func(context.Context) string { return "req-1234" }}})
	b := w.hold(0)
	c := w.checkout(b)
	require.False(t, c.Confirmed)
	require.WithinDuration(t, b.HoldExpiresAt, c.ExpiresAt, 2*time.Second, "the session ends with the hold")

	s, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.EqualValues(t, price, s.AmountTotal)
	require.Equal(t, "eur", s.Currency)
	require.Equal(t, c.PaymentID, s.ClientReferenceID)
	require.Equal(t, map[string]string{"payment_id": c.PaymentID, "booking_id": b.ID, "request_id": "req-1234"},
		s.Metadata)
	require.Equal(t, appURL+"/success?session_id={CHECKOUT_SESSION_ID}", s.SuccessURL)
	require.Equal(t, appURL+"/cancel?booking="+b.ID+"&session_id={CHECKOUT_SESSION_ID}", s.CancelURL)

	require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status())
	w.pay(c)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	p := w.payment(b.ID)
	require.Equal(t, payments.StatusPaid, p.Status())
	require.Equal(t, p.Amount, p.Captured)
	require.NotEmpty(t, p.PaymentIntentID)
	require.Equal(t, map[string]int{"checkout.session.completed processed": 1}, w.outcomes())

	_, err = w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	bySession, err := w.payments.BySession(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.Equal(t, p.ID, bySession.ID)
}

func TestCheckout_PriceTimesParty(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 4})
	b, err := w.bookings.Hold(t.Context(),
		booking.HoldRequest{Resource: "room", Start: slot(0), Party: 3, Customer: ada})
	require.NoError(t, err)
	s, err := w.stripe.Session(w.checkout(b).SessionID)
	require.NoError(t, err)
	require.EqualValues(t, 3*price, s.AmountTotal)
}

func TestCheckout_FreeConfirmsWithoutStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{price: -1})
	b := w.hold(0)
	c := w.checkout(b)
	require.True(t, c.Confirmed)
	require.Empty(t, c.URL)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Empty(t, w.stripe.Sessions())
	_, err := w.payments.ForBooking(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotFound)
	require.True(t, w.checkout(b).Confirmed, "a repeat returns the same")
}

func TestCheckout_ConcurrentOneSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	var wg sync.WaitGroup
	out := make([]payments.Checkout, 8)
	errs := make([]error, len(out))
	for i := range out {
		wg.Go(func() { out[i], errs[i] = w.payments.Checkout(t.Context(), b.ID) })
	}
	wg.Wait()
	for i := range out {
		require.NoError(t, errs[i])
		require.Equal(t, out[0], out[i])
	}
	require.Len(t, w.stripe.Sessions(), 1)
}

func TestCheckout_HoldHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.endHold(b.ID)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
	_, err = w.bookings.ReleaseExpired(t.Context())
	require.NoError(t, err)
	_, err = w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
	cancelled := w.hold(1)
	_, err = w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	_, err = w.payments.Checkout(t.Context(), cancelled.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	_, err = w.payments.Checkout(t.Context(), "0193b3a0-0000-7000-8000-000000000000")
	require.ErrorIs(t, err, booking.ErrNotFound)
	require.Empty(t, w.stripe.Sessions())
}

// Before Stripe's response.
func TestCheckout_EventBeforeSessionIsStored(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, setup{stripe: stripetest.Options{OnCreate: func(s stripetest.Session) {
		_, err := w.stripe.Pay(context.Background(), s.ID)
		if err != nil {
			t.Errorf("pay: %v", err)
		}
	}}})
	b := w.hold(0)
	c := w.checkout(b)
	require.NotEmpty(t, c.URL)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, c.SessionID, w.payment(b.ID).SessionID)
	require.Equal(t, map[string]int{"checkout.session.completed processed": 1}, w.outcomes())
}

// While a payment is processing or parked, there is no second session.
func TestCheckout_FirstSessionCompleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for i, change := range []map[string]any{{"payment_status": "unpaid"}, {"amount_total": price - 1}} {
		b := w.hold(i)
		c := w.checkout(b)
		require.Equal(t, http.StatusOK, w.send("evt_"+b.ID, "checkout.session.completed", session(c, change)))
		require.Equal(t, booking.StatusPending, w.status(b.ID))
		_, err := w.payments.Checkout(t.Context(), b.ID)
		require.ErrorIs(t, err, payments.ErrNotPayable)
		require.Len(t, w.stripe.Sessions(), i+1)
	}
}

// The session of an expired hold is about to be ended: no customer is sent there.
func TestCheckout_HoldHasLapsed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.checkout(b)
	w.endHold(b.ID)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, booking.ErrHoldExpired)
}

// Another transaction ends or completes the booking meanwhile.
func TestCheckout_ConcurrentTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		began bool
		sql   string
		want  error
	}{
		"cancelled": {
			sql:  `UPDATE booking_platform.bookings SET status = 'cancelled' WHERE id = $1::uuid`,
			want: payments.ErrNotPayable,
		},
		"completed by a delayed method": {
			began: true,
			sql:   `UPDATE booking_platform.payments SET completed = true WHERE booking_id = $1::uuid`,
			want:  payments.ErrNotPayable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{})
			b := w.hold(0)
			if c.began {
				w.checkout(b)
			}
			sessions := len(w.stripe.Sessions())
			tx, err := w.db.Begin()
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.Exec(`SELECT id FROM booking_platform.bookings WHERE id = $1::uuid FOR NO KEY UPDATE`, b.ID)
			require.NoError(t, err)
			_, err = tx.Exec(c.sql, b.ID)
			require.NoError(t, err)
			answer := make(chan error, 1)
			go func() {
				_, err := w.payments.Checkout(t.Context(), b.ID)
				answer <- err
			}()
			w.awaitWaiting(1)
			require.NoError(t, tx.Commit())
			require.ErrorIs(t, <-answer, c.want)
			require.Len(t, w.stripe.Sessions(), sessions)
		})
	}
}

// A hold may last 30 days, a session one.
func TestCheckout_LongHoldSessionEndsWithinADay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	w.exec(`UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() + interval '30 days'
		WHERE id = $1::uuid`, b.ID)
	c := w.checkout(b)
	require.WithinDuration(t, time.Now().Add(24*time.Hour), c.ExpiresAt, 10*time.Minute)
}

// It is refused like a paid one.
func TestCheckout_FreeBookingWasCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{price: -1})
	b := w.hold(0)
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	_, err = w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
}

func TestCheckout_NoSuchBooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for _, id := range []string{"", "x", "urn:uuid:0193b3a0-0000-7000-8000-000000000000",
		"0193b3a0-0000-7000-8000-000000000000"} {
		_, err := w.payments.ForBooking(t.Context(), id)
		require.ErrorIs(t, err, payments.ErrNotFound, id)
	}
	for _, id := range []string{"", "cs_x", "a\x00b", "ü"} {
		_, err := w.payments.BySession(t.Context(), id)
		require.ErrorIs(t, err, payments.ErrNotFound, id)
	}
}

// M4: Charges, reports and refunds are in Stripe's unit of every kind of currency, by
// hand from https://docs.stripe.com/currencies.
func TestCheckout_AmountsInStripesUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for n, c := range []struct {
		currency, price string
		unit            int64 // what Stripe gets
		fee             int64 // a third of it, as Stripe can refund the rest
		wrong           int64 // a part that cannot be refunded; 0: there is none
	}{
		{"ugx", "50000", 5000000, 1650000, 150}, {"isk", "2551", 255100, 84100, 50}, {"jpy", "2500", 2500, 825, 0},
		{"krw", "25000", 25000, 8250, 0},
		{"kwd", "18.610", 18610, 6140, 5}, {"huf", "1000.45", 100045, 33014, 0}, {"twd", "800.45", 80045, 26414, 0},
		{"eur", "25.00", 2500, 825, 0},
	} {
		price, err := booking.ParseMoney(c.price, c.currency)
		require.NoError(t, err)
		r, err := w.bookings.CreateResource(t.Context(), booking.Resource{
			Slug: "in-" + c.currency, Name: "Room", TimeZone: "UTC", SlotLength: time.Hour, Price: price,
			Policy: booking.Policy{FreeUntil: 300 * 24 * time.Hour, FeePercent: 33},
		})
		require.NoError(t, err)
		w.resource = r
		b := w.hold(n)
		checkout := w.checkout(b)
		session, err := w.stripe.Session(checkout.SessionID)
		require.NoError(t, err)
		require.Equal(t, c.unit, session.LineItems[0].UnitAmount, c.currency)
		require.Equal(t, c.unit, session.AmountTotal, c.currency)
		require.Equal(t, c.currency, session.Currency)
		_, err = w.stripe.Pay(t.Context(), session.ID)
		require.NoError(t, err)
		require.Equal(t, booking.StatusConfirmed, w.status(b.ID), c.currency)
		p := w.payment(b.ID)
		require.Equal(t, payments.StatusPaid, p.Status(), "the captured amount is the requested one")
		require.Equal(t, price, p.Captured)

		if c.wrong > 0 {
			_, err = w.payments.Refund(t.Context(),
				payments.RefundRequest{PaymentID: p.ID, Amount: c.wrong, Cause: "a part"})
			var invalid *booking.ValidationError
			require.ErrorAs(t, err, &invalid, c.currency)
			require.Contains(t, invalid.Fields, "amount")
		}
		cancelled, err := w.bookings.Get(t.Context(), b.ID)
		require.NoError(t, err)
		terms := cancelled.Terms(time.Now())
		require.Equal(t, c.fee, terms.Fee.Minor, c.currency)
		_, err = w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, ByCustomer: true})
		require.NoError(t, err)
		w.settle(1)
		require.Equal(t, stripetest.Money{Captured: c.unit, Refunded: c.unit - c.fee}, w.stripe.Balance()[c.currency],
			c.currency)
	}
	w.requireBooks()
}
