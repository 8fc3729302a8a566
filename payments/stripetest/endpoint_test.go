package stripetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhookendpoint"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// endpoints returns the listed endpoints.
func (s standIn) endpoints(t *testing.T) (all []*stripe.WebhookEndpoint) {
	t.Helper()
	params := &stripe.WebhookEndpointListParams{}
	params.Limit = stripe.Int64(1) // several pages
	it := webhookendpoint.Client{Key: secretKey, B: s.sessions.B}.List(params)
	for it.Next() {
		all = append(all, it.WebhookEndpoint())
	}
	require.NoError(t, it.Err())
	return all
}

func TestListEndpoints(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{WebhookEndpoints: []stripetest.WebhookEndpoint{
		{ID: "we_1", URL: "https://a.example/webhook", EnabledEvents: []string{"refund.created"},
			APIVersion: "2020-08-27", Disabled: true, Livemode: true},
		{URL: "https://b.example/webhook", EnabledEvents: []string{"*"}},
	}})
	got := s.endpoints(t)
	require.Len(t, got, 2, "the newest first")
	require.Regexp(t, `^we_\w{24}$`, got[0].ID)
	require.Equal(t, "enabled", got[0].Status)
	require.Empty(t, got[0].APIVersion)
	require.False(t, got[0].Livemode)
	require.Equal(t, "we_1", got[1].ID)
	require.Equal(t, "disabled", got[1].Status)
	require.Equal(t, []string{"refund.created"}, got[1].EnabledEvents)
	require.Equal(t, "2020-08-27", got[1].APIVersion)
	require.Equal(t, "https://a.example/webhook", got[1].URL)
	require.True(t, got[1].Livemode)
	require.Empty(t, got[1].Secret)

	require.Empty(t, start(t, stripetest.Options{}).endpoints(t))
	own := start(t, stripetest.Options{WebhookURL: "http://127.0.0.1:1/webhook"}).endpoints(t)
	require.Len(t, own, 1)
	require.Equal(t, "http://127.0.0.1:1/webhook", own[0].URL)
}
