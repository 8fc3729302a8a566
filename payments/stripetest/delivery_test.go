package stripetest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

func TestDelivery_StripesLibraryAccepts(t *testing.T) {
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

// Errors, refusals, redirects, reset connections and timeouts are repeated.
func TestDelivery_RepeatedUntil2xx(t *testing.T) {
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

func TestDelivery_GivenUpAfterThreeDays(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusInternalServerError))
	var looks atomic.Int64
	begin := time.Now()
	pauses := []time.Duration{time.Hour, 6 * time.Hour, 24 * time.Hour}
	s := start(t, stripetest.Options{
		WebhookURL: r.url, Backoff: pauses,
		// Each reading advances the clock by ten minutes.
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

func TestDelivery_AdvanceEndsPause(t *testing.T) {
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

// An attempt under way ends in a pause that is over.
func TestDelivery_AdvanceDuringAttempt(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 3), make(chan struct{})
	r := receive(t, func(w http.ResponseWriter, req *http.Request) {
		begun <- struct{}{}
		select {
		case <-release:
		case <-req.Context().Done():
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Hour}}).run(t)
	id, paid := s.create(t).ID, make(chan error, 1)
	go func() { // Waits for the first answer.
		_, err := s.Pay(within(t), id)
		paid <- err
	}()
	for range 2 {
		select {
		case <-begun:
		case <-time.After(20 * time.Second):
			t.Fatal("no attempt after the pause")
		}
		s.Advance(time.Hour)
		select {
		case release <- struct{}{}:
		case <-time.After(20 * time.Second):
			t.Fatal("the attempt has ended")
		}
	}
	require.NoError(t, <-paid)
}

func TestDelivery_HangingOneDelaysNoOther(t *testing.T) {
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

func TestRun_OneAtATimeAndContinues(t *testing.T) {
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

func TestSign(t *testing.T) {
	t.Parallel()
	payload, at := []byte(`{"id":"evt_1"}`), time.Now()
	theirs := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: payload, Secret: webhookSecret,
		Timestamp: at})
	require.Equal(t, theirs.Header, stripetest.Sign(payload, webhookSecret, at))
}

func TestDelivery_Plan(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url, Deliver: func(e stripetest.Event) []time.Duration {
		return map[string][]time.Duration{
			"checkout.session.completed": {time.Minute},
			"refund.created":             {0, 0},
			"charge.refunded":            nil,
		}[e.Type]
	}}).run(t)
	sess := s.paid(t) // does not wait a minute
	_, err := s.RefundFromDashboard(sess.ID, 0)
	require.NoError(t, err)
	require.Equal(t, "refund.created", r.heard(t))
	require.Equal(t, "refund.created", r.heard(t))
	s.Advance(time.Minute)
	require.Equal(t, "checkout.session.completed", r.heard(t))
	require.NoError(t, s.WaitDelivered(within(t)))
	events := s.Events()
	require.Len(t, events, 3)
	require.Len(t, events[1].Attempts, 2)
	require.True(t, events[2].Lost)
	require.False(t, events[2].Delivered)

	again, err := s.Resend(within(t), events[2].ID, 1)
	require.NoError(t, err)
	require.True(t, again[0].OK())
	require.NoError(t, s.WaitDelivered(within(t), events[2].ID))
}

// Neither an earlier pause nor a failed copy repeats a delivered event.
func TestDelivery_CopyOfDeliveredEventIsNotSent(t *testing.T) {
	t.Parallel()
	answers := make(chan int, 10)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-answers) })
	now := newClock()
	var copies atomic.Int32
	copies.Store(1)
	s := start(t, stripetest.Options{WebhookURL: r.url, Now: now.Now, Backoff: []time.Duration{time.Hour},
		Deliver: func(stripetest.Event) []time.Duration {
			return []time.Duration{0, time.Minute}[:copies.Load()]
		}}).run(t)
	answers <- http.StatusInternalServerError
	s.paid(t)
	answers <- http.StatusOK
	_, err := s.Resend(within(t), s.Events()[0].ID, 1)
	require.NoError(t, err)
	require.NoError(t, s.WaitDelivered(within(t)), "Run has nothing left to send")

	copies.Store(2)
	answers <- http.StatusOK
	s.paid(t)
	answers <- http.StatusInternalServerError // for the copy, a minute later
	s.Advance(time.Minute)
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Len(t, s.Events()[0].Attempts, 2)
	require.Len(t, s.Events()[1].Attempts, 2)
	require.True(t, s.Events()[1].Delivered)
}

// heard returns the next delivered event's type.
func (r receiver) heard(t *testing.T) string {
	t.Helper()
	var e stripe.Event
	require.NoError(t, json.Unmarshal(r.next(t).body, &e))
	return string(e.Type)
}

func TestReleaseDelivery_ChosenOrder(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	old := s.paid(t)
	r.next(t)
	s.HoldDelivery()
	_, err := s.RefundFromDashboard(s.paid(t).ID, 0) // Pay does not wait
	require.NoError(t, err)
	require.True(t, s.Events()[1].Held)
	soon, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.WaitDelivered(soon), context.Canceled, "held events are waited for")
	require.Empty(t, r.deliveries)

	attempts, err := s.ReleaseDelivery(within(t), func(held []stripetest.Event) []stripetest.Event {
		require.Len(t, held, 3)
		slices.Reverse(held)
		return append(held[:2], held[0], s.Events()[0])
	})
	require.NoError(t, err)
	require.Len(t, attempts, 4)
	var types []string
	for range 4 {
		types = append(types, r.heard(t))
	}
	require.Equal(t, []string{"charge.refunded", "refund.created", "charge.refunded", "checkout.session.completed"},
		types)
	events := s.Events()
	require.Equal(t, old.ID, events[0].SessionID)
	require.Len(t, events[0].Attempts, 2, "an older event once more")
	require.True(t, events[1].Lost, "left out")
	require.False(t, events[1].Held)
	require.Len(t, events[3].Attempts, 2)
	require.ErrorContains(t, s.WaitDelivered(within(t), events[1].ID), "lost")
	require.NoError(t, s.WaitDelivered(within(t)))

	s.paid(t) // delivered at once again
	require.Equal(t, "checkout.session.completed", r.heard(t))
}

func TestReleaseDelivery_FailureIsRepeated(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var server *stripetest.Server
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			// An event during the release is held too.
			_, err := server.RefundFromDashboard(server.Sessions()[0].ID, 100)
			if err != nil {
				panic(err)
			}
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Hour}}).run(t)
	server = s.Server
	s.HoldDelivery()
	s.paid(t)
	_, err := s.ReleaseDelivery(within(t),
		func([]stripetest.Event) []stripetest.Event { return []stripetest.Event{{ID: "evt_none"}} })
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	require.True(t, s.Events()[0].Held, "nothing was sent")

	attempts, err := s.ReleaseDelivery(within(t), func(held []stripetest.Event) []stripetest.Event {
		_, err := s.ReleaseDelivery(within(t), nil)
		require.ErrorContains(t, err, "another one")
		return held
	})
	require.NoError(t, err)
	require.False(t, attempts[0].OK())
	up.Store(true)
	s.Advance(time.Hour)
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Len(t, s.Events(), 3)
	require.Len(t, s.Events()[0].Attempts, 2)

	s.HoldDelivery()
	s.paid(t)
	_, err = s.ReleaseDelivery(within(t), nil)
	require.NoError(t, err)
	require.NoError(t, s.WaitDelivered(within(t)))
	_, err = start(t, stripetest.Options{}).ReleaseDelivery(within(t), nil)
	require.ErrorContains(t, err, "no webhook URL")
}
