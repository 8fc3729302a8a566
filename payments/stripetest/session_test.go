package stripetest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestSession_NotFound(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	_, err := s.sessions.Get("cs_test_none", nil)
	refused := stripeError(t, err)
	require.Equal(t, http.StatusNotFound, refused.HTTPStatusCode)
	require.Equal(t, stripe.ErrorCodeResourceMissing, refused.Code)
	require.Equal(t, stripe.ErrorTypeInvalidRequest, refused.Type)
	require.NotEmpty(t, refused.RequestID)

	_, err = s.sessions.Expire("cs_test_none", nil)
	require.Equal(t, http.StatusNotFound, stripeError(t, err).HTTPStatusCode)
	_, err = s.Session("cs_test_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	_, err = s.Pay(within(t), "cs_test_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	_, err = s.Server.Expire("cs_test_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	require.ErrorIs(t, s.Decline("cs_test_none"), stripetest.ErrNotFound)
	_, err = s.Resend(within(t), "evt_none", 1)
	require.Error(t, err)
}

func TestListSessions_PagedNewestFirst(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	var ids []string
	for range 25 {
		ids = append([]string{s.create(t).ID}, ids...)
	}
	params := &stripe.CheckoutSessionListParams{}
	params.Limit = stripe.Int64(10)
	var listed []string
	for it := s.sessions.List(params); it.Next(); {
		listed = append(listed, it.CheckoutSession().ID)
	}
	require.Equal(t, ids, listed)

	paid, err := s.Pay(within(t), ids[3])
	require.NoError(t, err)
	byStatus := s.sessions.List(&stripe.CheckoutSessionListParams{Status: stripe.String("complete")})
	require.True(t, byStatus.Next())
	require.Equal(t, ids[3], byStatus.CheckoutSession().ID)
	require.False(t, byStatus.Next())
	byIntent := s.sessions.List(&stripe.CheckoutSessionListParams{PaymentIntent: &paid.PaymentIntentID})
	require.True(t, byIntent.Next())
	require.Equal(t, ids[3], byIntent.CheckoutSession().ID)
	require.False(t, byIntent.Next())
	require.NoError(t, byIntent.Err())

	for _, query := range []string{"limit=0", "limit=101", "status=paid", "starting_after=cs_test_none", "created=1"} {
		require.GreaterOrEqual(t, get(t, s.url+"/v1/checkout/sessions?"+query).StatusCode, 400, query)
	}
	require.Len(t, s.Sessions(), 25)
	require.Equal(t, ids[0], s.Sessions()[0].ID)
}
