package stripetest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// heard returns the type of the next delivered event.
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
