package stripetest_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/event"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func (s standIn) eventsAPI() event.Client { return event.Client{Key: secretKey, B: s.sessions.B} }

func (s standIn) listed(t *testing.T, params *stripe.EventListParams) []string {
	t.Helper()
	var types []string
	it := s.eventsAPI().List(params)
	for it.Next() {
		types = append(types, string(it.Event().Type))
	}
	require.NoError(t, it.Err())
	return types
}

func TestListEvents_Undelivered(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	up.Store(true)
	r := receive(t, func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := start(t, stripetest.Options{WebhookURL: r.url, Backoff: []time.Duration{time.Hour}}).run(t)
	sess := s.paid(t)
	up.Store(false)
	_, err := s.RefundFromDashboard(sess.ID, 0)
	require.NoError(t, err)

	undelivered, delivered := &stripe.EventListParams{DeliverySuccess: stripe.Bool(false)},
		&stripe.EventListParams{DeliverySuccess: stripe.Bool(true)}
	undelivered.Limit = stripe.Int64(1) // several pages
	require.Equal(t, []string{"charge.refunded", "refund.created"}, s.listed(t, undelivered))
	require.Equal(t, []string{"checkout.session.completed"}, s.listed(t, delivered))
	first := s.Events()[0]
	got, err := s.eventsAPI().Get(first.ID, nil)
	require.NoError(t, err)
	require.Zero(t, got.PendingWebhooks)
	require.Equal(t, sess.ID, got.GetObjectValue("id"))
	require.Equal(t, "paid", got.GetObjectValue("payment_status"))

	require.NoError(t, s.WaitAttempted(within(t)))
	up.Store(true)
	s.Advance(time.Hour)
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Empty(t, s.listed(t, undelivered))
}

func TestListEvents_Filters(t *testing.T) {
	t.Parallel()
	now := newClock()
	s := start(t, stripetest.Options{Now: now.Now})
	sess := s.paid(t)
	now.Add(10 * time.Second)
	_, err := s.RefundFromDashboard(sess.ID, 0)
	require.NoError(t, err)
	second := now.Now().Unix()
	all := []string{"charge.refunded", "refund.created", "checkout.session.completed"}
	for name, c := range map[string]struct {
		params *stripe.EventListParams
		want   []string
	}{
		"all":         {&stripe.EventListParams{}, all},
		"undelivered": {&stripe.EventListParams{DeliverySuccess: stripe.Bool(false)}, all},
		"type":        {&stripe.EventListParams{Type: stripe.String("refund.created")}, all[1:2]},
		"group":       {&stripe.EventListParams{Type: stripe.String("charge.*")}, all[:1]},
		"types": {&stripe.EventListParams{Types: stripe.StringSlice([]string{"refund.created",
			"charge.refunded"})}, all[:2]},
		"second": {&stripe.EventListParams{Created: &second}, all[:2]},
		"since": {&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: second}},
			all[:2]},
		"after":  {&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThan: second}}, nil},
		"before": {&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{LesserThan: second}}, all[2:]},
		"until":  {&stripe.EventListParams{CreatedRange: &stripe.RangeQueryParams{LesserThanOrEqual: second}}, all},
	} {
		require.Equal(t, c.want, s.listed(t, c.params), name)
	}
	for _, query := range []string{"delivery_success=no", "type=a&types[]=b", "created[gte]=now",
		"starting_after=evt_none", "order=asc"} {
		require.GreaterOrEqual(t, get(t, s.url+"/v1/events?"+query).StatusCode, 400, query)
	}
}

func TestListEvents_KeptForThirtyDays(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	s.paid(t)
	id := s.Events()[0].ID
	s.Advance(30*24*time.Hour - time.Minute)
	require.Len(t, s.listed(t, &stripe.EventListParams{}), 1)
	s.Advance(2 * time.Minute)
	require.Empty(t, s.listed(t, &stripe.EventListParams{}))
	_, err := s.eventsAPI().Get(id, nil)
	require.Equal(t, stripe.ErrorCodeResourceMissing, stripeError(t, err).Code)
	require.Len(t, s.Events(), 1, "a test still knows")
}

func TestEvent_NamesItsRequest(t *testing.T) {
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

func TestEvent_NeverMade(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url, NeverMade: func(e stripetest.Event) bool {
		return e.Type == "checkout.session.completed"
	}}).run(t)
	sess := s.paid(t)
	require.Equal(t, stripetest.Paid, sess.PaymentStatus)
	require.Empty(t, s.Events())
	_, err := s.RefundFromDashboard(sess.ID, 0)
	require.NoError(t, err)
	require.NoError(t, s.WaitDelivered(within(t)))
	require.Len(t, r.deliveries, 2)
}
