package payments_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

type sentCall struct{ key, body string }

// bodies records the calls; the first ones fail before their effect.
type bodies struct {
	mu   sync.Mutex
	fail int
	sent []sentCall
	// before is called before a call has its effect.
	before func(n int)
}

func (b *bodies) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !createCalls(r) {
			next.ServeHTTP(rw, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		b.mu.Lock()
		b.sent = append(b.sent, sentCall{r.Header.Get("Idempotency-Key"), string(body)})
		n := len(b.sent)
		b.mu.Unlock()
		if b.before != nil {
			b.before(n)
		}
		if n <= b.fail {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func (b *bodies) all() []sentCall {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]sentCall(nil), b.sent...)
}

type shapeFunc = func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error

// shape only changes the parameters.
func shape(f func(*stripe.CheckoutSessionParams)) payments.Options {
	return payments.Options{ShapeCheckout: func(_ context.Context, _ booking.Booking,
		params *stripe.CheckoutSessionParams) error {
		f(params)
		return nil
	}}
}

// A repeat on another replica, whose function would return another result, sends the
// first, and does not call it.
func TestShapeCheckout_KilledBeforeStripeAnswered(t *testing.T) {
	t.Parallel()
	sent := &bodies{fail: 2}
	var calls atomic.Int32
	numbered := func(_ context.Context, b booking.Booking, p *stripe.CheckoutSessionParams) error {
		p.AddMetadata("call", strconv.Itoa(int(calls.Add(1))))
		p.PaymentIntentData.ReceiptEmail = stripe.String(b.Customer.Email)
		return nil
	}
	w := newWorld(t, setup{wrap: sent.wrap, opts: payments.Options{ShapeCheckout: numbered}})
	b := w.hold(0)
	_, err := w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrUnavailable)
	other, err := payments.New(w.db, w.bookings, secretKey, appURL,
		payments.Options{BaseURL: w.api, ShapeCheckout: numbered})
	require.NoError(t, err)
	c, err := other.Checkout(t.Context(), b.ID)
	require.NoError(t, err)
	require.EqualValues(t, 1, calls.Load())
	all := sent.all()
	require.Len(t, all, 3)
	require.Equal(t, all[0], all[2])
	form, err := url.ParseQuery(all[2].body)
	require.NoError(t, err)
	require.Equal(t, "1", form.Get("metadata[call]"))
	w.pay(c)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
}

// The process ends before the result is stored: the function is called again, and nothing
// was sent.
func TestShapeCheckout_KilledBeforeStored(t *testing.T) {
	t.Parallel()
	sent := &bodies{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var calls atomic.Int32
	w := newWorld(t, setup{wrap: sent.wrap, opts: payments.Options{
		ShapeCheckout: func(_ context.Context, _ booking.Booking, p *stripe.CheckoutSessionParams) error {
			if calls.Add(1) == 1 {
				cancel()
			}
			p.AddMetadata("call", strconv.Itoa(int(calls.Load())))
			return nil
		}}})
	req := w.request(0)
	req.IdempotencyKey = "once"
	_, err := w.payments.Book(ctx, req)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, sent.all())
	booked := w.book(req)
	require.EqualValues(t, 2, calls.Load())
	s, err := w.stripe.Session(booked.SessionID)
	require.NoError(t, err)
	require.Equal(t, "2", s.Metadata["call"])
	require.Equal(t, booked, w.book(req))
	require.EqualValues(t, 2, calls.Load(), "a repeat finds the payment")
}

// Both replicas call their function at once. Both send the first result that is stored,
// under one key.
func TestShapeCheckout_TwoReplicasOneResult(t *testing.T) {
	t.Parallel()
	sent := &bodies{}
	both := make(chan struct{})
	var calls atomic.Int32
	numbered := func(_ context.Context, _ booking.Booking, p *stripe.CheckoutSessionParams) error {
		n := calls.Add(1)
		if n == 2 {
			close(both)
		}
		<-both
		p.AddMetadata("call", strconv.Itoa(int(n)))
		return nil
	}
	w := newWorld(t, setup{wrap: sent.wrap, opts: payments.Options{ShapeCheckout: numbered}})
	other, err := payments.New(w.db, w.bookings, secretKey, appURL,
		payments.Options{BaseURL: w.api, ShapeCheckout: numbered})
	require.NoError(t, err)
	req := w.request(0)
	req.IdempotencyKey = "once"
	var booked [2]payments.Booked
	var errs [2]error
	var wg sync.WaitGroup
	for i, p := range []*payments.Payments{w.payments, other} {
		wg.Go(func() { booked[i], errs[i] = p.Book(t.Context(), req) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	require.Equal(t, booked[0], booked[1])
	require.EqualValues(t, 2, calls.Load())
	require.Len(t, w.stripe.Sessions(), 1)
	for _, call := range sent.all() {
		require.Equal(t, sent.all()[0], call)
	}
	w.requireBooks()
}

// It fails, panics, ends its goroutine or hangs without its context: a 503, and the slot
// is free again at once.
func TestShapeCheckout_FunctionFails(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	own := errors.New("no such customer")
	for name, c := range map[string]struct {
		f    shapeFunc
		want error
	}{
		"error": {func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error { return own }, own},
		"panic": {func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error {
			panic("planted")
		}, payments.ErrUnavailable},
		"goexit": {func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error {
			runtime.Goexit()
			return nil
		}, payments.ErrUnavailable},
		"hangs": {func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error {
			<-hang
			return nil
		}, context.DeadlineExceeded},
		"nil inside": {func(_ context.Context, _ booking.Booking, p *stripe.CheckoutSessionParams) error {
			p.LineItems[0] = nil
			p.AddExtra("", "")
			return nil
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := &bodies{}
			var mended atomic.Bool
			w := newWorld(t, setup{wrap: sent.wrap, opts: payments.Options{Timeout: 2 * time.Second,
				ShapeCheckout: func(ctx context.Context, b booking.Booking, p *stripe.CheckoutSessionParams) error {
					if mended.Load() {
						return nil
					}
					return c.f(ctx, b, p)
				}}})
			req := w.request(0)
			req.IdempotencyKey = "once"
			_, err := w.payments.Book(t.Context(), req)
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, payments.ErrUnavailable)
				require.ErrorIs(t, err, c.want)
			}
			require.Empty(t, sent.all())
			mended.Store(true)
			booked := w.book(req)
			require.Equal(t, booking.StatusPending, booked.Booking.Status, "the slot and the key are free again")
		})
	}
}

// An embedder's own refusal is not worth a repeat.
func TestShapeCheckout_OwnRefusal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{opts: payments.Options{
		ShapeCheckout: func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error {
			return errors.Join(payments.ErrRefused, errors.New("the account is closed"))
		}}})
	_, err := w.payments.Book(t.Context(), w.request(0))
	require.ErrorIs(t, err, payments.ErrRefused)
	require.NotErrorIs(t, err, payments.ErrUnavailable)
	require.Equal(t, "payment_refused", payments.BookResult(err))
	w.requireFree(0)
}

// It is called outside a transaction: with one connection it can use the database itself.
func TestShapeCheckout_NoTransactionIsOpen(t *testing.T) {
	t.Parallel()
	var w *world
	w = newWorld(t, setup{opts: payments.Options{
		ShapeCheckout: func(ctx context.Context, b booking.Booking, _ *stripe.CheckoutSessionParams) error {
			got, err := w.bookings.Get(ctx, b.ID)
			if err == nil && (got.Status != booking.StatusPending || b.OwnerToken != "") {
				err = errors.New("unexpected booking")
			}
			return err
		}}})
	w.db.SetMaxOpenConns(1)
	w.book(w.request(0))
}

// A booking that is settled, or whose payment exists, does not call it.
func TestShapeCheckout_NotCalledWithoutAPayment(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	w := newWorld(t, setup{opts: shape(func(*stripe.CheckoutSessionParams) { calls.Add(1) })})
	cancelled := w.hold(0)
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	_, err = w.payments.Checkout(t.Context(), cancelled.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	require.Zero(t, calls.Load())
	b := w.hold(0)
	c := w.checkout(b)
	require.Equal(t, c, w.checkout(b))
	w.pay(c)
	_, err = w.payments.Checkout(t.Context(), b.ID)
	require.ErrorIs(t, err, payments.ErrNotPayable)
	require.EqualValues(t, 1, calls.Load())
}

// Both take the Connect transfer and the fee back.
func TestShapeCheckout_RefundReversesTransfer(t *testing.T) {
	t.Parallel()
	var form atomic.Value
	for name, c := range map[string]struct {
		shape shapeFunc
		want  [2]string
	}{
		"destination and fee": {shapeDestination, [2]string{"true", "true"}},
		"neither": {func(context.Context, booking.Booking, *stripe.CheckoutSessionParams) error { return nil },
			[2]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, setup{opts: payments.Options{ShapeCheckout: c.shape},
				wrap: func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
						if r.Method == http.MethodPost && r.URL.Path == "/v1/refunds" {
							body, _ := io.ReadAll(r.Body)
							r.Body = io.NopCloser(bytes.NewReader(body))
							values, _ := url.ParseQuery(string(body))
							form.Store(values)
						}
						next.ServeHTTP(rw, r)
					})
				}})
			b := w.hold(0)
			w.pay(w.checkout(b))
			_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
			require.NoError(t, err)
			w.settle(1)
			sent := form.Load().(url.Values)
			require.Equal(t, c.want, [2]string{sent.Get("reverse_transfer"), sent.Get("refund_application_fee")})
			require.Equal(t, payments.StatusRefunded, w.payment(b.ID).Status())
		})
	}
}
