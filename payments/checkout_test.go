package payments_test

import (
	"context"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/stripemock"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestCheckoutPayConfirm(t *testing.T) {
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
	require.Equal(t, appURL+"/cancel?booking="+b.ID, s.CancelURL)

	require.Equal(t, payments.Open, w.payment(b.ID).Status())
	w.pay(c)
	require.Equal(t, booking.Confirmed, w.status(b.ID))
	p := w.payment(b.ID)
	require.Equal(t, payments.Paid, p.Status())
	require.Equal(t, p.Amount, p.Captured)
	require.NotEmpty(t, p.PaymentIntentID)
	require.Equal(t, map[string]int{"checkout.session.completed processed": 1}, w.outcomes())

	_, err = w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	bySession, err := w.payments.BySession(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.Equal(t, p.ID, bySession.ID)
}

// The stores run on each driver and mode that an embedder may have.
func TestPathOnEveryDriver(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		w := newWorld(t, setup{db: db})
		paid, left := w.hold(0), w.hold(1)
		w.pay(w.checkout(paid))
		require.Equal(t, booking.Confirmed, w.status(paid.ID))
		w.checkout(left)
		w.endHold(left.ID)
		n, err := w.payments.ExpireSessions(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Equal(t, booking.Expired, w.status(left.ID))
		require.Equal(t, payments.Expired, w.payment(left.ID).Status())
	})
}

func TestPartyPaysForEachHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 4})
	b, err := w.bookings.Hold(t.Context(),
		booking.HoldRequest{Resource: "room", Start: slot(0), Party: 3, Customer: ada})
	require.NoError(t, err)
	s, err := w.stripe.Session(w.checkout(b).SessionID)
	require.NoError(t, err)
	require.EqualValues(t, 3*price, s.AmountTotal)
}

func TestFreeBookingConfirmsWithoutStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{price: -1})
	b := w.hold(0)
	c := w.checkout(b)
	require.True(t, c.Confirmed)
	require.Empty(t, c.URL)
	require.Equal(t, booking.Confirmed, w.status(b.ID))
	require.Empty(t, w.stripe.Sessions())
	_, err := w.payments.ForBooking(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotFound)
	require.True(t, w.checkout(b).Confirmed, "a repeat says the same")
}

func TestCheckoutTwiceAtOnceMakesOneSession(t *testing.T) {
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

func TestCheckoutOfAnEndedHold(t *testing.T) {
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

// The customer can be faster than Stripe's answer to us.
func TestEventBeforeTheSessionIsStored(t *testing.T) {
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
	require.Equal(t, booking.Confirmed, w.status(b.ID))
	require.Equal(t, c.SessionID, w.payment(b.ID).SessionID)
	require.Equal(t, map[string]int{"checkout.session.completed processed": 1}, w.outcomes())
}

// Stripe did it, and the answer was lost on the way back.
func TestLostAnswerIsFoundAgain(t *testing.T) {
	t.Parallel()
	var lost atomic.Int32
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			// More often than the library tries by itself.
			if r.Method == http.MethodPost && lost.Add(1) <= 3 {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(rw, r)
		})
	}})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Equal(t, booking.Pending, w.status(b.ID))
	c := w.checkout(b)
	require.Len(t, w.stripe.Sessions(), 1)
	require.Equal(t, w.stripe.Sessions()[0].ID, c.SessionID)
}

func TestAbandonReleasesUnlessASessionIsKnown(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				rw.WriteHeader(http.StatusBadGateway)
				_, _ = rw.Write([]byte("<html>502 Bad Gateway</html>"))
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	known := w.hold(0)
	w.checkout(known)
	down.Store(true)
	b := w.hold(1)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	for range 2 {
		require.NoError(t, w.payments.Abandon(t.Context(), b.ID))
		require.NoError(t, w.payments.Abandon(t.Context(), known.ID))
	}
	require.Equal(t, booking.Cancelled, w.status(b.ID))
	require.Equal(t, payments.Failed, w.payment(b.ID).Status())
	require.Equal(t, booking.Pending, w.status(known.ID), "the customer may be at its page")
	w.hold(1) // the slot is free again
}

// Every request that payments makes is one that Stripe's own description knows.
func TestStripeMockAcceptsEveryRequest(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	bookings, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	w := &world{t: t, db: db, bookings: bookings}
	w.payments, err = payments.New(db, bookings, secretKey, appURL, payments.Options{
		BaseURL: stripemock.Start(t), RequestID: func(context.Context) string { return "req-1234" },
	})
	require.NoError(t, err)
	w.resource = w.newResource("room", price, 4)
	b, err := bookings.Hold(t.Context(), booking.HoldRequest{
		Resource: "room", Start: slot(0), Party: 2, Customer: ada,
	})
	require.NoError(t, err)
	c := w.checkout(b)
	require.NotEmpty(t, c.SessionID)
	w.endHold(b.ID)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = payments.SessionStatus(w.payments, t.Context(), c.SessionID)
	require.NoError(t, err)
}

func TestNewFailsClosed(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	bookings, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	for name, make := range map[string]func() (*payments.Payments, error){
		"no database": func() (*payments.Payments, error) {
			return payments.New(nil, bookings, secretKey, appURL, payments.Options{})
		},
		"no bookings": func() (*payments.Payments, error) {
			return payments.New(db, nil, secretKey, appURL, payments.Options{})
		},
		"no key": func() (*payments.Payments, error) {
			return payments.New(db, bookings, " ", appURL,
				payments.Options{})
		},
		"relative URL": func() (*payments.Payments, error) {
			return payments.New(db, bookings, secretKey, "/", payments.Options{})
		},
		"no scheme": func() (*payments.Payments, error) {
			return payments.New(db, bookings, secretKey, "booking.example", payments.Options{})
		},
		"bad base": func() (*payments.Payments, error) {
			return payments.New(db, bookings, secretKey, appURL, payments.Options{BaseURL: "nowhere"})
		},
	} {
		_, err := make()
		require.Error(t, err, name)
	}
}
