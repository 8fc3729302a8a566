package payments_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// What an embedder's configuration and helpers hand over is not always tidy.
func TestUntidyConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t,
		setup{opts: payments.Options{RequestID: func(context.Context) string { return strings.Repeat("x", 501) }}})
	c := w.checkout(w.hold(0))
	s, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.NotContains(t, s.Metadata, "request_id", "longer than Stripe takes")

	// A key that was read from a file ends with its line.
	pay, err := payments.New(w.db, w.bookings, secretKey+"\n", appURL, payments.Options{BaseURL: w.api})
	require.NoError(t, err)
	_, err = pay.Checkout(t.Context(), w.hold(1).ID)
	require.NoError(t, err)

	for _, url := range []string{appURL + "/?a=b", appURL + "/#top"} {
		_, err := payments.New(w.db, w.bookings, secretKey, url, payments.Options{})
		require.Error(t, err, url)
	}
}

// A free booking that was cancelled is refused as a paid one is.
func TestFreeBookingThatWasCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{price: -1})
	b := w.hold(0)
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	_, err = w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
}

// Something else than Stripe answers at its address, and says 200.
func TestAnswerThatIsNoSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_,
				_ = rw.Write([]byte(`{"ok":true}`))
		})
	}})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Empty(t, w.payment(b.ID).SessionID)
}

func TestPaymentOfWhatIsNoBooking(t *testing.T) {
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
