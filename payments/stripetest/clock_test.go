package stripetest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestRunExpiresSessionsWhoseTimeHasCome(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	now := newClock()
	s := start(t, stripetest.Options{WebhookURL: r.url, Now: now.Now})
	s.LookAgain(time.Millisecond)
	s.run(t)
	params := order()
	params.ExpiresAt = stripe.Int64(now.Now().Add(31 * time.Minute).Unix())
	short, err := s.sessions.New(params)
	require.NoError(t, err)
	long := s.create(t)

	// Nobody asks for the session here: Run looks at the clock by itself.
	now.Add(31 * time.Minute)
	d := r.next(t)
	ev, err := webhook.ConstructEventWithTolerance(d.body, d.signature, webhookSecret, time.Hour)
	require.NoError(t, err)
	require.Equal(t, stripe.EventTypeCheckoutSessionExpired, ev.Type)
	require.Equal(t, short.ID, ev.GetObjectValue("id"))
	require.Equal(t, "expired", ev.GetObjectValue("status"))
	open, err := s.Session(long.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Open, open.Status)
	require.Len(t, s.Events(), 1)
}

// Whether Run is at work or not, nobody is shown an open session past its end,
// and nobody can pay it.
func TestAnExpiredSessionIsNeverSeenOpen(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	s.Advance(24*time.Hour + time.Second)
	got, err := s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusExpired, got.Status)
	_, err = s.Pay(within(t), sess.ID)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	require.Len(t, s.Events(), 1)
	require.Equal(t, "checkout.session.expired", s.Events()[0].Type)
}

// The receiver's clock has not moved, so a signature of the advanced time would
// come from its future.
func TestAdvanceDoesNotReachSignatures(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	s.create(t)
	before := time.Now().Add(-time.Second)
	s.Advance(48 * time.Hour)
	d := r.next(t)
	_, err := webhook.ConstructEvent(d.body, d.signature, webhookSecret)
	require.NoError(t, err)
	require.NoError(t, s.WaitDelivered(within(t)))
	at := s.Events()[0].Attempts[0].At
	require.True(t, at.After(before) && at.Before(time.Now().Add(time.Second)), at)
	require.Panics(t, func() { s.Advance(-time.Second) })
}
