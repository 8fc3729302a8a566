package stripetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestACreatedSessionIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	params := order()
	expires := time.Now().Add(31 * time.Minute).Unix()
	params.ExpiresAt = &expires
	params.AddExpand("payment_intent")

	sess, err := s.sessions.New(params)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(sess.ID, "cs_test_"), sess.ID)
	require.Equal(t, "checkout.session", sess.Object)
	require.Equal(t, stripe.CheckoutSessionStatusOpen, sess.Status)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusUnpaid, sess.PaymentStatus)
	require.Equal(t, stripe.CheckoutSessionModePayment, sess.Mode)
	require.Equal(t, int64(2500), sess.AmountTotal)
	require.Equal(t, int64(2500), sess.AmountSubtotal)
	require.Equal(t, stripe.CurrencyEUR, sess.Currency)
	require.Equal(t, "payment-1", sess.ClientReferenceID)
	require.Equal(t, "ada@example.com", sess.CustomerEmail)
	require.Equal(t, "ada@example.com", sess.CustomerDetails.Email)
	require.Equal(t, map[string]string{"booking_id": "booking-1"}, sess.Metadata)
	require.Equal(t, expires, sess.ExpiresAt)
	require.InDelta(t, time.Now().Unix(), sess.Created, 5)
	require.Equal(t, *params.SuccessURL, sess.SuccessURL)
	require.Equal(t, *params.CancelURL, sess.CancelURL)
	require.Equal(t, s.url+"/pay/"+sess.ID, sess.URL)
	require.False(t, sess.Livemode)
	require.Nil(t, sess.PaymentIntent, "Stripe makes it only when the customer pays")
	require.NotEmpty(t, sess.LastResponse.RequestID)

	again, err := s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.JSONEq(t, string(sess.LastResponse.RawJSON), string(again.LastResponse.RawJSON))

	known, err := s.Session(sess.ID)
	require.NoError(t, err)
	require.Equal(t, []stripetest.LineItem{{Name: "Boat tour", Quantity: 2, UnitAmount: 1250}}, known.LineItems)
	require.Equal(t, map[string]string{"payment_id": "payment-1"}, known.PaymentIntentMetadata)
}

func TestASessionEndsAfterADayUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	require.Equal(t, int64(24*60*60), sess.ExpiresAt-sess.Created)
}

func TestAPaidSession(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	open := s.create(t)
	_, err := s.Pay(within(t), open.ID)
	require.NoError(t, err)

	paid, err := s.sessions.Get(open.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusComplete, paid.Status)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusPaid, paid.PaymentStatus)
	require.True(t, strings.HasPrefix(paid.PaymentIntent.ID, "pi_"), paid.PaymentIntent.ID)
	require.Equal(t, "ada@example.com", paid.CustomerDetails.Email)
	require.Empty(t, paid.URL)
}

func TestAFreeSessionNeedsNoPayment(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	params := order()
	params.LineItems[0].PriceData.UnitAmount = stripe.Int64(0)
	sess, err := s.sessions.New(params)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusNoPaymentRequired, sess.PaymentStatus)

	_, err = s.Pay(within(t), sess.ID)
	require.NoError(t, err)
	sess, err = s.sessions.Get(sess.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusComplete, sess.Status)
	require.Equal(t, stripe.CheckoutSessionPaymentStatusNoPaymentRequired, sess.PaymentStatus)
	require.Nil(t, sess.PaymentIntent)
}

func TestExpireEndsAnOpenSessionOnly(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	open, paid := s.create(t), s.create(t)
	_, err := s.Pay(within(t), paid.ID)
	require.NoError(t, err)

	expired, err := s.sessions.Expire(open.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.CheckoutSessionStatusExpired, expired.Status)
	require.Empty(t, expired.URL)

	for id, status := range map[string]string{open.ID: "expired", paid.ID: "complete"} {
		_, err = s.sessions.Expire(id, nil)
		refused := stripeError(t, err)
		require.Equal(t, http.StatusBadRequest, refused.HTTPStatusCode)
		require.Contains(t, refused.Msg, status)
	}
	_, err = s.Pay(within(t), open.ID)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	require.ErrorIs(t, s.Decline(open.ID), stripetest.ErrNotOpen)
	require.NoError(t, s.Decline(s.create(t).ID))

	types := map[string]string{}
	for _, e := range s.Events() {
		types[e.SessionID] += e.Type
	}
	require.Equal(t, map[string]string{
		open.ID: "checkout.session.expired", paid.ID: "checkout.session.completed",
	}, types, "one event each, refused calls none")
}

func TestSessionsThatDoNotExist(t *testing.T) {
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

func TestListIsPagedNewestFirst(t *testing.T) {
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

func TestOnlyTheConfiguredKeyIsLetIn(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	_, err := client(s.url, "sk_test_another").New(order())
	refused := stripeError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.HTTPStatusCode)
	require.NotContains(t, refused.Msg, "another")

	for want, authorize := range map[int]func(*http.Request){
		http.StatusUnauthorized: func(*http.Request) {},
		http.StatusOK:           func(r *http.Request) { r.SetBasicAuth(secretKey, "") },
	} {
		req, err := http.NewRequest(http.MethodGet, s.url+"/v1/checkout/sessions", nil)
		require.NoError(t, err)
		authorize(req)
		require.Equal(t, want, do(t, req).StatusCode)
	}
	require.Empty(t, s.Sessions())
}

func TestWhatIsNotStripesIsRefusedInStripesShape(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	for name, c := range map[string]struct {
		method, path, contentType, body string
		status                          int
	}{
		"unknown route":  {"GET", "/v1/charges", "", "", 404},
		"unknown method": {"DELETE", "/v1/checkout/sessions", "", "", 404},
		"JSON":           {"POST", "/v1/checkout/sessions", "application/json", `{"mode":"payment"}`, 400},
		"bad escapes":    {"POST", "/v1/checkout/sessions", "application/x-www-form-urlencoded", "mode=%zz", 400},
		"bad query":      {"GET", "/v1/checkout/sessions?a=%zz", "", "", 400},
		"huge": {"POST", "/v1/checkout/sessions", "application/x-www-form-urlencoded",
			"mode=" + strings.Repeat("a", 2<<20), 413},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, s.url+c.path, strings.NewReader(c.body))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+secretKey)
			req.Header.Set("Content-Type", c.contentType)
			resp := do(t, req)
			require.Equal(t, c.status, resp.StatusCode)
			require.NotEmpty(t, resp.Header.Get("Request-Id"))
			var answer struct {
				Error struct{ Type, Message string }
			}
			require.NoError(t, json.Unmarshal([]byte(read(t, resp)), &answer))
			require.Equal(t, "invalid_request_error", answer.Error.Type)
			require.NotEmpty(t, answer.Error.Message)
		})
	}
}

func TestNewFailsClosed(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]stripetest.Options{
		"no key":             {},
		"live key":           {SecretKey: "sk_live_1"},
		"live restricted":    {SecretKey: "rk_live_1"},
		"no webhook secret":  {SecretKey: secretKey, WebhookURL: "http://localhost/webhook"},
		"relative webhook":   {SecretKey: secretKey, WebhookURL: "/webhook", WebhookSecret: webhookSecret},
		"relative public":    {SecretKey: secretKey, PublicURL: "/stripe"},
		"pause of nothing":   {SecretKey: secretKey, Backoff: []time.Duration{0}},
		"negative timeout":   {SecretKey: secretKey, DeliveryTimeout: -1},
		"public, not a page": {SecretKey: secretKey, PublicURL: "javascript:alert(1)"},
	} {
		_, err := stripetest.New(opts)
		require.Error(t, err, name)
	}
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	return do(t, req)
}

// do sends a request without following redirects.
func do(t *testing.T, req *http.Request) *http.Response {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err, fmt.Sprint(req.URL))
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
