package stripetest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestStripesLibraryAcceptsWhatIsDelivered(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	sess := s.create(t)
	_, err := s.Pay(within(t), sess.ID)
	require.NoError(t, err)

	d := r.next(t)
	ev, err := webhook.ConstructEvent(d.body, d.signature, webhookSecret)
	require.NoError(t, err)
	require.Equal(t, stripe.EventTypeCheckoutSessionCompleted, ev.Type)
	require.Equal(t, "event", ev.Object)
	require.False(t, ev.Livemode)
	require.InDelta(t, time.Now().Unix(), ev.Created, 5)
	require.Empty(t, ev.Request.ID, "a customer did it, not a call")
	require.Equal(t, "application/json; charset=utf-8", d.header.Get("Content-Type"))
	var told stripe.CheckoutSession
	require.NoError(t, json.Unmarshal(ev.Data.Raw, &told))
	now, err := s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.JSONEq(t, string(now.LastResponse.RawJSON), string(ev.Data.Raw))
	require.Equal(t, stripe.CheckoutSessionPaymentStatusPaid, told.PaymentStatus)

	_, err = webhook.ConstructEvent(d.body, d.signature, "whsec_another")
	require.ErrorIs(t, err, webhook.ErrNoValidSignature)
	events := s.Events()
	require.Len(t, events, 1)
	require.Equal(t, ev.ID, events[0].ID)
	require.True(t, events[0].Delivered)
	require.Equal(t, http.StatusOK, events[0].LastStatus())
}

func TestAnEventNamesTheCallThatCausedIt(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	expire := &stripe.CheckoutSessionExpireParams{}
	expire.SetIdempotencyKey("expire-1")
	expired, err := s.sessions.Expire(s.create(t).ID, expire)
	require.NoError(t, err)

	d := r.next(t)
	ev, err := webhook.ConstructEvent(d.body, d.signature, webhookSecret)
	require.NoError(t, err)
	require.Equal(t, stripe.EventTypeCheckoutSessionExpired, ev.Type)
	require.Equal(t, expired.LastResponse.RequestID, ev.Request.ID)
	require.Equal(t, "expire-1", ev.Request.IdempotencyKey)
}

// Everything but a 2xx is sent again: errors, refusals, redirects, a connection
// cut, an answer that does not come.
func TestUntilA2xxItIsSentAgain(t *testing.T) {
	t.Parallel()
	failures := []http.HandlerFunc{
		answering(http.StatusInternalServerError),
		answering(http.StatusBadRequest),
		answering(http.StatusNotModified),
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	var n atomic.Int32
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		i := int(n.Add(1)) - 1
		if i < len(failures) {
			failures[i](w, req)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	now := newClock()
	s := start(t, stripetest.Options{
		WebhookURL: r.url, Now: now.Tick, DeliveryTimeout: 200 * time.Millisecond,
		Backoff: []time.Duration{time.Nanosecond},
	}).run(t)
	_, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	var first delivery
	signatures := map[string]bool{}
	for i := range len(failures) + 1 {
		d := r.next(t)
		if i == 0 {
			first = d
		}
		require.Equal(t, first.body, d.body)
		require.NoError(t, webhook.ValidatePayloadIgnoringTolerance(d.body, d.signature, webhookSecret))
		require.False(t, signatures[d.signature], "each attempt is signed anew")
		signatures[d.signature] = true
	}
	require.NoError(t, s.WaitDelivered(within(t)))
	attempts := s.Events()[0].Attempts
	var statuses []int
	for _, a := range attempts {
		statuses = append(statuses, a.Status)
		require.Equal(t, a.Status == 0, a.Error != "")
	}
	require.Equal(t, []int{500, 400, 304, 307, 0, 0, 204}, statuses)
	require.Empty(t, r.deliveries, "and not again after the 2xx")
}

func TestPausesGrowAndEndAfterThreeDays(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusInternalServerError))
	var looks atomic.Int64
	begin := time.Now()
	pauses := []time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour}
	s := start(t, stripetest.Options{
		WebhookURL: r.url, Backoff: pauses,
		// Ten minutes go by whenever somebody looks.
		Now: func() time.Time { return begin.Add(time.Duration(looks.Add(1)) * 10 * time.Minute) },
	})
	_, err := s.Server.Expire(s.create(t).ID)
	require.NoError(t, err)
	e := s.Events()[0]
	s.LookAgain(time.Millisecond)
	s.run(t)
	require.ErrorContains(t, s.WaitDelivered(within(t), e.ID), "given up")

	e = s.Events()[0]
	require.True(t, e.GivenUp)
	require.False(t, e.Delivered)
	last := len(e.Attempts) - 1
	require.Greater(t, last, 1)
	for i := range last {
		require.GreaterOrEqual(t, e.Attempts[i+1].At.Sub(e.Attempts[i].At), pauses[min(i, 2)])
	}
	require.Less(t, e.Attempts[last-1].At.Sub(e.CreatedAt), 72*time.Hour)
	require.Greater(t, time.Duration(looks.Load())*10*time.Minute, 72*time.Hour)
	require.Len(t, r.deliveries, last+1)
}

func TestAdvanceEndsAPause(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Hour}}).run(t)
	_, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	up.Store(true)
	s.Advance(time.Hour)
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Len(t, s.Events()[0].Attempts, 2)
}

// An event whose receiver hangs holds no other one up.
func TestOneStuckDeliveryDoesNotHoldTheOthers(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	var n atomic.Int32
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			<-stuck
		}
	})
	t.Cleanup(func() { close(stuck) })
	s := start(t, stripetest.Options{WebhookURL: r.url, DeliveryTimeout: time.Hour}).run(t)
	_, err := s.Server.Expire(s.create(t).ID)
	require.NoError(t, err)
	r.next(t)
	for range 20 {
		paid, err := s.Pay(within(t), s.create(t).ID)
		require.NoError(t, err)
		require.Equal(t, stripetest.Complete, paid.Status)
	}
	require.Equal(t, 0, s.Events()[0].LastStatus())
}

func TestResendTakesUpADeliveredEvent(t *testing.T) {
	t.Parallel()
	const n = 10
	var all sync.WaitGroup
	all.Add(n)
	var first atomic.Bool
	r := receive(t, func(http.ResponseWriter, *http.Request) {
		if first.CompareAndSwap(false, true) {
			return
		}
		// Nobody is answered before all are here: they do go out at once.
		all.Done()
		all.Wait()
	})
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	_, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	e := s.Events()[0]
	attempts, err := s.Resend(within(t), e.ID, n)
	require.NoError(t, err)
	require.Len(t, attempts, n)
	for _, a := range attempts {
		require.True(t, a.OK(), a.Error)
	}
	require.Len(t, s.Events()[0].Attempts, n+1)
	_, err = s.Resend(within(t), "evt_none", 1)
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	require.ErrorIs(t, s.WaitDelivered(within(t), "evt_none"), stripetest.ErrNotFound)
}

func TestPayWaitsForTheFirstAnswerAndNoLonger(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		<-answer
		w.WriteHeader(http.StatusInternalServerError)
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Hour}}).run(t)
	sess := s.create(t)

	impatient, cancel := context.WithCancel(context.Background())
	paid := make(chan error, 1)
	go func() {
		_, err := s.Pay(impatient, sess.ID)
		paid <- err
	}()
	r.next(t)
	require.Empty(t, paid, "the webhook has no answer yet")
	cancel()
	require.ErrorIs(t, <-paid, context.Canceled)
	known, err := s.Session(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Paid, known.PaymentStatus, "the waiting ended, not the payment")

	other := s.create(t)
	go func() {
		_, err := s.Pay(context.Background(), other.ID)
		paid <- err
	}()
	r.next(t)
	close(answer)
	require.NoError(t, <-paid, "a 500 is an answer")
}

// The race that a program must survive: the customer is quicker than the answer
// to the call that created the session.
func TestTheWebhookCanComeBeforeTheAnswerToCreate(t *testing.T) {
	t.Parallel()
	var server *stripetest.Server
	told := make(chan string, 1)
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url, OnCreate: func(sess stripetest.Session) {
		_, err := server.Pay(context.Background(), sess.ID)
		if err == nil {
			told <- sess.ID
		}
	}})
	server = s.Server
	s.run(t)
	sess, err := s.sessions.New(order())
	require.NoError(t, err)
	require.Len(t, r.deliveries, 1, "delivered before the call was answered")
	require.Equal(t, sess.ID, <-told)
	require.Equal(t, stripe.CheckoutSessionStatusOpen, sess.Status, "the answer says what was true when it was made")
}

func TestOfManyWhoPayAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	sess := s.create(t)
	var paid, refused atomic.Int32
	var customers sync.WaitGroup
	for i := range 32 {
		customers.Go(func() {
			var err error
			if i%4 == 0 {
				_, err = s.Server.Expire(sess.ID)
			} else {
				_, err = s.Pay(context.Background(), sess.ID)
			}
			if err == nil {
				paid.Add(1)
			} else {
				refused.Add(1)
			}
		})
	}
	customers.Wait()
	require.EqualValues(t, 1, paid.Load())
	require.EqualValues(t, 31, refused.Load())
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Len(t, s.Events(), 1)
}

func TestRunIsOneAtATimeAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Millisecond}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	_, err := s.Pay(within(t), s.create(t).ID)
	require.NoError(t, err)
	over, end := context.WithCancel(ctx)
	end()
	require.Error(t, s.Run(over), "a second one")
	cancel()
	require.NoError(t, <-ended)
	require.False(t, s.Events()[0].Delivered)

	up.Store(true)
	s.run(t)
	require.NoError(t, s.WaitDelivered(within(t)))
}

func TestSignIsStripesSignature(t *testing.T) {
	t.Parallel()
	payload, at := []byte(`{"id":"evt_1"}`), time.Now()
	theirs := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: webhookSecret,
		Timestamp: at})
	require.Equal(t, theirs.Header, stripetest.Sign(payload, webhookSecret, at))
}
