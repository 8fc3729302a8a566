package payments_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

func TestExpireSessions_WithoutHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	ended, running, cancelled, paid := w.hold(0), w.hold(1), w.hold(2), w.hold(3)
	for _, b := range []booking.Booking{ended, running, cancelled, paid} {
		w.checkout(b)
	}
	w.pay(w.checkout(paid))
	w.endHold(ended.ID)
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)

	// Three replicas end each session once.
	var wg sync.WaitGroup
	counts := make([]int, 3)
	errs := make([]error, 3)
	for i := range counts {
		wg.Go(func() { counts[i], errs[i] = w.payments.ExpireSessions(t.Context()) })
	}
	wg.Wait()
	total := 0
	for i := range counts {
		require.NoError(t, errs[i])
		total += counts[i]
	}
	require.Equal(t, 2, total)
	require.Equal(t, booking.StatusExpired, w.status(ended.ID))
	require.Equal(t, booking.StatusCancelled, w.status(cancelled.ID))
	require.Equal(t, booking.StatusPending, w.status(running.ID))
	require.Equal(t, payments.StatusOpen, w.payment(running.ID).Status())
	require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))
	w.hold(0)
}

// The customer paid after our SELECT: Stripe refuses to end the session, and the payment
// wins.
func TestExpireSessions_CustomerJustPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.endHold(b.ID)
	// Paid at Stripe, but its event has not arrived.
	w.exec(`ALTER TABLE booking_platform.payment_events RENAME TO payment_events_away`)
	w.pay(c)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	// The slot stays with the customer although the event has not arrived.
	_, err = w.bookings.ReleaseExpired(t.Context())
	require.NoError(t, err)
	_, err = w.bookings.Hold(t.Context(), booking.HoldRequest{Resource: "room", Start: b.Start, Customer: ada})
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID), "Stripe said so, without its event")
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
	w.exec(`ALTER TABLE booking_platform.payment_events_away RENAME TO payment_events`)
	for _, e := range w.stripe.Events() {
		_, err := w.stripe.Resend(t.Context(), e.ID, 1)
		require.NoError(t, err)
	}
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
}

// A process died before storing that Stripe has ended the session; the event is late.
func TestExpireSessions_EndedAtStripeBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.endHold(b.ID)
	w.exec(`ALTER TABLE booking_platform.payment_events RENAME TO payment_events_away`)
	_, err := w.stripe.Expire(c.SessionID)
	require.NoError(t, err)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, payments.StatusExpired, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusExpired, w.status(b.ID))
	n, err = w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
}

// A process died between writing the payment and Stripe's response.
func TestExpireSessions_PaymentWithoutSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	c := w.checkout(b)
	w.exec(`UPDATE booking_platform.payments
		SET stripe_session_id = NULL, session_expires_at = statement_timestamp() - interval '1 second'
		WHERE id = $1::uuid`, c.PaymentID)
	_, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, payments.StatusExpired, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusPending, w.status(b.ID))
}

// A session is over only when Stripe says so, whatever else answers.
func TestExpireSessions_UnknownAnswerEndsNothing(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case !away.Load():
				next.ServeHTTP(rw, r)
			case r.Method == http.MethodGet:
				_, _ = rw.Write([]byte(`{}`))
			default:
				rw.WriteHeader(http.StatusBadRequest)
				_, _ = rw.Write([]byte(`{"error":{"type":"invalid_request_error","message":"no"}}`))
			}
		})
	}})
	b := w.hold(0)
	w.checkout(b)
	w.endHold(b.ID)
	away.Store(true)
	n, err := w.payments.ExpireSessions(t.Context())
	require.ErrorIs(t, err, payments.ErrUnavailable)
	require.Zero(t, n)
	require.Equal(t, payments.StatusOpen, w.payment(b.ID).Status())
	require.Equal(t, booking.StatusPending, w.status(b.ID))
}

// The step's time ends after a session or two. It must not have leased the others, which
// another replica can take.
func TestExpireSessions_LeasedOneByOne(t *testing.T) {
	t.Parallel()
	var hang atomic.Bool
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if hang.Load() {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
				return
			}
			next.ServeHTTP(rw, r)
		})
	}})
	for i := range 3 {
		b := w.hold(i)
		w.checkout(b)
		w.endHold(b.ID)
	}
	hang.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := w.payments.ExpireSessions(ctx)
	require.Error(t, err)
	var leased int
	require.NoError(t, w.db.QueryRow(`SELECT count(leased_until) FROM booking_platform.payments`).Scan(&leased))
	require.Equal(t, 1, leased)
	hang.Store(false)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

func TestExpireSessions_SkipsLockedRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	unbegun, ended := w.hold(0), w.hold(1)
	c := w.checkout(unbegun)
	w.exec(`UPDATE booking_platform.payments
		SET stripe_session_id = NULL, session_expires_at = statement_timestamp() - interval '1 second'
		WHERE id = $1::uuid`, c.PaymentID)
	w.checkout(ended)
	w.endHold(ended.ID)
	w.lock(`SELECT id FROM booking_platform.payments WHERE id = $1::uuid FOR UPDATE`, c.PaymentID)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n, err := w.payments.ExpireSessions(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

// A shutdown is not reported as an error of Stripe's.
func TestExpireSessions_ContextEnds(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	w := newWorld(t, setup{
		opts: payments.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))},
		wrap: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/expire") {
					_, _ = io.Copy(io.Discard, r.Body)
					stop()
					<-r.Context().Done()
					return
				}
				next.ServeHTTP(rw, r)
			})
		},
	})
	b := w.hold(0)
	w.checkout(b)
	w.endHold(b.ID)
	_, err := w.payments.ExpireSessions(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, payments.ErrUnavailable)
	require.Empty(t, log.String())
}

// The hold is over, and Stripe says that its session was paid: no event is needed.
func TestExpireSessions_PaidAtStripe(t *testing.T) {
	t.Parallel()
	w := withoutWebhooks(t)
	b := w.hold(0)
	c := w.checkout(b)
	_, err := w.stripe.Pay(t.Context(), c.SessionID)
	require.NoError(t, err)
	w.endHold(b.ID)
	ended, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Zero(t, ended)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status())
}
