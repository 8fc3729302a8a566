package payments_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// request is for the nth slot of the day after tomorrow.
func (w *world) request(nth int) booking.HoldRequest {
	return booking.HoldRequest{Resource: w.resource.ID, Start: slot(nth), Customer: ada}
}

func (w *world) book(req booking.HoldRequest) payments.Booked {
	w.t.Helper()
	booked, err := w.payments.Book(w.t.Context(), req)
	require.NoError(w.t, err)
	return booked
}

func (w *world) requireFree(nth int) {
	w.t.Helper()
	_, err := w.bookings.Hold(w.t.Context(), w.request(nth))
	require.NoError(w.t, err)
}

func createCalls(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/v1/checkout/sessions"
}

func TestBook_PaidAtStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	booked := w.book(w.request(0))
	require.Equal(t, booking.StatusPending, booked.Booking.Status)
	pay := w.payment(booked.Booking.ID)
	require.Equal(t, []string{pay.ID, pay.SessionID, pay.URL}, []string{booked.PaymentID, booked.SessionID, booked.URL})
	require.Equal(t, booking.Money{Minor: price, Currency: "eur"}, pay.Amount)
	_, err := w.stripe.Pay(t.Context(), booked.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	require.Equal(t, booking.StatusConfirmed, w.status(booked.Booking.ID))
	w.requireBooks()
}

func TestBook_SendsWhatCheckoutSends(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 2})
	booked, held := w.book(w.request(0)), w.hold(0)
	checkout := w.checkout(held)
	sent := func(paymentID string, b booking.Booking) (text string) {
		w.t.Helper()
		require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT parameters::text
			FROM booking_platform.payments WHERE id = $1::uuid`, paymentID).Scan(&text))
		require.Contains(t, text, b.Number)
		return strings.NewReplacer(b.ID, "ID", paymentID, "PAYMENT", b.Number, "NUMBER").Replace(text)
	}
	require.Equal(t, sent(checkout.PaymentID, held), sent(booked.PaymentID, booked.Booking))
}

func TestBook_FreeIsConfirmedWithoutStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{price: -1})
	req := w.request(0)
	req.IdempotencyKey = "once"
	first := w.book(req)
	require.Equal(t, booking.StatusConfirmed, first.Booking.Status)
	require.Equal(t, booking.StatusConfirmed, w.status(first.Booking.ID))
	require.Equal(t, w.payments.BookingURL(first.Booking.ID, first.Booking.OwnerToken), first.URL)
	require.Empty(t, first.SessionID+first.PaymentID)
	require.Empty(t, w.stripe.Sessions())
	again := w.book(req)
	require.Equal(t, []string{first.Booking.ID, first.URL}, []string{again.Booking.ID, again.URL})
	require.Equal(t, booking.StatusConfirmed, again.Booking.Status)
}

// Before and after it is paid.
func TestBook_Repeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	req := w.request(0)
	req.IdempotencyKey = "once"
	first := w.book(req)
	again := w.book(req)
	require.Equal(t, first, again)
	_, err := w.stripe.Pay(t.Context(), first.SessionID)
	require.NoError(t, err)
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	again = w.book(req)
	require.Equal(t, booking.StatusConfirmed, again.Booking.Status)
	first.Booking = again.Booking
	require.Equal(t, first, again)
	require.Len(t, w.stripe.Sessions(), 1)

	req.Start = slot(1)
	_, err = w.payments.Book(t.Context(), req)
	require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
}

func TestBook_SlotIsFreeWhenStripeFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer stripeAnswer
		want   error
	}{
		"unavailable": {stripeAnswer{status: 503, html: true}, payments.ErrUnavailable},
		"refused": {stripeAnswer{status: 400, kind: "invalid_request_error", code: "amount_too_small"},
			payments.ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			between := &interceptor{match: createCalls, keys: map[string]int{}}
			between.set(&c.answer)
			w := newWorld(t, setup{wrap: between.wrap})
			req := w.request(0)
			req.IdempotencyKey = "once"
			_, err := w.payments.Book(t.Context(), req)
			require.ErrorIs(t, err, c.want)
			between.set(nil)
			booked := w.book(req)
			require.Equal(t, booking.StatusPending, booked.Booking.Status, "the slot and the key are free again")
			w.requireBooks()
		})
	}
}

// A caller who disconnected gets the same session by a repeat.
func TestBook_CallerHasGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	req := w.request(0)
	req.IdempotencyKey = "once"
	hang := w.stripe.Fault(createCalls, stripetest.HangDuring, 1)
	t.Cleanup(hang.Release)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := w.payments.Book(ctx, req)
		gone <- err
	}()
	require.NoError(t, hang.Wait(t.Context(), 1))
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	_, err := w.bookings.Hold(t.Context(), w.request(0))
	require.ErrorIs(t, err, booking.ErrSlotTaken, "the hold stays")
	hang.Release()
	booked := w.book(req)
	require.Equal(t, booking.StatusPending, booked.Booking.Status)
	require.Len(t, w.stripe.Sessions(), 1)
}

func TestBook_Admit(t *testing.T) {
	t.Parallel()
	admitted, full := 0, &payments.RateLimitError{RetryAfter: 1500 * time.Millisecond}
	var results []string
	w := newWorld(t, setup{opts: payments.Options{
		Admit: func(context.Context, booking.HoldRequest) error {
			if admitted++; admitted > 1 {
				return full
			}
			return nil
		},
		OnBook: func(_ context.Context, result string, _ error) { results = append(results, result) },
	}})
	wrong := w.request(0)
	wrong.Customer.Email = "no address"
	_, err := w.payments.Book(t.Context(), wrong)
	var invalid *booking.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Zero(t, admitted)
	w.book(w.request(0))
	_, err = w.payments.Book(t.Context(), w.request(1))
	require.ErrorIs(t, err, full)
	require.Equal(t, 2, full.Seconds())
	w.requireFree(1)
	require.Equal(t, []string{"invalid", "held", "limit"}, results)
}

func TestBook_AdmitFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("cannot be counted")
	w := newWorld(t, setup{opts: payments.Options{
		Admit: func(context.Context, booking.HoldRequest) error { return broken },
	}})
	_, err := w.payments.Book(t.Context(), w.request(0))
	require.ErrorIs(t, err, broken)
	w.requireFree(0)
}

// The hold is given up.
func TestBook_DatabaseFailsAfterTheHold(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	w := newWorld(t, setup{db: db})
	w.exec(`CREATE FUNCTION booking_platform.fail() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'planted'; END $$`)
	w.exec(`CREATE TRIGGER fail BEFORE INSERT ON booking_platform.payments
		FOR EACH ROW EXECUTE FUNCTION booking_platform.fail()`)
	_, err := w.payments.Book(t.Context(), w.request(0))
	require.ErrorContains(t, err, "planted")
	w.requireFree(0)
}

// Each error, wrapped or not, has a result, and every result is used.
func TestBookResult(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "held"}, {booking.ErrSlotTaken, "taken"}, {booking.ErrSlotGone, "taken"},
		{&booking.HoldLimitError{}, "limit"}, {&payments.RateLimitError{}, "limit"},
		{&booking.ValidationError{}, "invalid"}, {booking.ErrNotFound, "invalid"},
		{booking.ErrIdempotencyMismatch, "invalid"},
		{payments.ErrUnavailable, "payment_unavailable"}, {payments.ErrRefused, "payment_refused"},
		{booking.ErrHoldExpired, "expired"}, {context.Canceled, "cancelled"},
		{context.DeadlineExceeded, "failed"}, {errors.New("anything else"), "failed"},
		// The call to Stripe ended because the customer disconnected.
		{fmt.Errorf("%w: %w", payments.ErrUnavailable, context.Canceled), "payment_unavailable"},
	} {
		require.Equal(t, c.want, payments.BookResult(c.err))
		said[c.want] = true
		if c.err != nil {
			require.Equal(t, c.want, payments.BookResult(fmt.Errorf("book: %w", c.err)))
		}
	}
	require.Len(t, said, len(payments.BookResults()))
	for _, word := range payments.BookResults() {
		require.True(t, said[word], word)
	}
}

func TestBookingURL(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	u, err := url.Parse(w.payments.BookingURL("an id", "to&ken"))
	require.NoError(t, err)
	require.Equal(t, appURL+"/success", u.Scheme+"://"+u.Host+u.Path)
	require.Equal(t, url.Values{"booking": {"an id"}, "token": {"to&ken"}}, u.Query())
}
