package stripetest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// press submits one of the page's buttons.
func press(t *testing.T, page, action string, fields ...string) *http.Response {
	t.Helper()
	form := url.Values{"action": {action}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, page, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(t, req)
}

func TestPage_ShowsLineItems(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	resp := get(t, sess.URL)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	page := read(t, resp)
	for _, want := range []string{"Boat tour", "EUR 12.50", "EUR 25.00", "ada@example.com", "stand-in",
		"No money moves",
		`value="pay"`, `value="decline"`, `value="leave"`, `href="style.css"`} {
		require.Contains(t, page, want)
	}
	// Nothing that a strict Content-Security-Policy would block.
	for _, never := range []string{"<script", "<style", "style=", "onclick", "https://"} {
		require.NotContains(t, page, never)
	}
	style := get(t, s.url+"/pay/style.css")
	require.Equal(t, "text/css; charset=utf-8", style.Header.Get("Content-Type"))
	require.NotEmpty(t, read(t, style))
}

// M4.
func TestPage_AmountsByCurrency(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	for currency, want := range map[string]string{
		"jpy": "Pay JPY 2500<", "usd": "Pay USD 25.00<", "kwd": "Pay KWD 2.500<", "EUR": "Pay EUR 25.00<",
	} {
		params := order()
		params.LineItems[0].PriceData.Currency = &currency
		sess, err := s.sessions.New(params)
		require.NoError(t, err)
		require.Equal(t, strings.ToLower(currency), string(sess.Currency))
		require.Contains(t, read(t, get(t, sess.URL)), want)
	}
	// 50000 shillings are 5000000 at Stripe, and are shown without decimals.
	shillings := order()
	shillings.LineItems[0].PriceData.Currency, shillings.LineItems[0].PriceData.UnitAmount = stripe.String("ugx"),
		stripe.Int64(5000000)
	paid, err := s.sessions.New(shillings)
	require.NoError(t, err)
	require.Contains(t, read(t, get(t, paid.URL)), "Pay UGX 100000<")
	free := order()
	free.LineItems[0].PriceData.UnitAmount = stripe.Int64(0)
	sess, err := s.sessions.New(free)
	require.NoError(t, err)
	page := read(t, get(t, sess.URL))
	require.Contains(t, page, "EUR 0.00")
	require.Contains(t, page, "Complete the order")
}

func TestPage_PayRedirectsAfterWebhook(t *testing.T) {
	t.Parallel()
	r := receive(t, answering(http.StatusOK))
	s := start(t, stripetest.Options{WebhookURL: r.url}).run(t)
	sess := s.create(t)
	resp := press(t, sess.URL, "pay")
	require.Len(t, r.deliveries, 1, "the webhook was answered before the customer was sent back")
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, "https://shop.example/success?session_id="+sess.ID, resp.Header.Get("Location"))

	page := read(t, get(t, s.url+"/pay/"+sess.ID))
	require.Contains(t, page, "has been paid")
	require.NotContains(t, page, "<button")
	for _, action := range []string{"pay", "decline"} {
		resp = press(t, sess.URL, action)
		require.Equal(t, http.StatusConflict, resp.StatusCode)
		require.Contains(t, read(t, resp), "no longer open")
	}
	require.Len(t, s.Events(), 1)
}

func TestPage_CustomerEntersEmail(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	for typed, want := range map[string]string{"grace@example.com": "grace@example.com", "": "customer@example.com"} {
		params := order()
		params.CustomerEmail = nil
		sess, err := s.sessions.New(params)
		require.NoError(t, err)
		require.Nil(t, sess.CustomerDetails)
		require.Contains(t, read(t, get(t, sess.URL)), `name="email"`)
		require.Equal(t, http.StatusSeeOther, press(t, sess.URL, "pay", "email", typed).StatusCode)
		sess, err = s.sessions.Get(sess.ID, nil)
		require.NoError(t, err)
		require.Equal(t, want, sess.CustomerDetails.Email)
		require.Empty(t, sess.CustomerEmail)
	}
}

func TestPage_DeclineLeavesSessionOpen(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	resp := press(t, sess.URL, "decline")
	require.Equal(t, http.StatusPaymentRequired, resp.StatusCode)
	page := read(t, resp)
	require.Contains(t, page, "declined")
	require.Contains(t, page, `value="pay"`)
	require.Empty(t, s.Events())
	require.Equal(t, http.StatusSeeOther, press(t, sess.URL, "pay").StatusCode)
}

func TestPage_LeaveChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	resp := press(t, sess.URL, "leave")
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, "https://shop.example/cancel?booking=42", resp.Header.Get("Location"))
	known, err := s.Session(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Open, known.Status)

	params := order()
	params.CancelURL = nil
	noWayBack, err := s.sessions.New(params)
	require.NoError(t, err)
	require.NotContains(t, read(t, get(t, noWayBack.URL)), `value="leave"`)
	require.Equal(t, http.StatusBadRequest, press(t, noWayBack.URL, "leave").StatusCode)
	require.Equal(t, http.StatusBadRequest, press(t, noWayBack.URL, "steal").StatusCode)
}

func TestPage_ExpiredSession(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess := s.create(t)
	_, err := s.Server.Expire(sess.ID)
	require.NoError(t, err)
	page := read(t, get(t, sess.URL))
	require.Contains(t, page, "has expired")
	require.NotContains(t, page, "<button")
	require.Contains(t, page, `href="https://shop.example/cancel?booking=42"`)
	require.Equal(t, http.StatusConflict, press(t, sess.URL, "pay").StatusCode)

	require.Equal(t, http.StatusNotFound, get(t, s.url+"/pay/cs_test_none").StatusCode)
	require.Equal(t, http.StatusNotFound, press(t, s.url+"/pay/cs_test_none", "pay").StatusCode)
}

func TestPage_TextIsEscaped(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	params := order()
	name := "<script>alert(1)</script>\r\nSet-Cookie: a=b\" onmouseover=\"x"
	params.LineItems[0].PriceData.ProductData.Name = &name
	params.LineItems[0].PriceData.ProductData.Description = &name
	params.CancelURL = stripe.String(`https://shop.example/?a="><script>`)
	sess, err := s.sessions.New(params)
	require.NoError(t, err)
	resp := get(t, sess.URL)
	require.Empty(t, resp.Header.Get("Set-Cookie"))
	page := read(t, resp)
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, `" onmouseover`)
	require.Contains(t, page, "&lt;script&gt;alert(1)")

	_, err = s.Server.Expire(sess.ID)
	require.NoError(t, err)
	require.NotContains(t, read(t, get(t, sess.URL)), "<script")
}

func TestServer_BelowAPrefix(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	host := httptest.NewServer(mux)
	t.Cleanup(host.Close)
	server, err := stripetest.New(stripetest.Options{SecretKey: secretKey, PublicURL: host.URL + "/stripe/"})
	require.NoError(t, err)
	mux.Handle("/stripe/", http.StripPrefix("/stripe", server))

	sess, err := client(host.URL+"/stripe", secretKey).New(order())
	require.NoError(t, err)
	require.Equal(t, host.URL+"/stripe/pay/"+sess.ID, sess.URL)
	page := get(t, sess.URL)
	require.Equal(t, http.StatusOK, page.StatusCode)
	// The page links its stylesheet relative to itself, and its form has no action.
	require.Contains(t, read(t, page), `href="style.css"`)
	require.Equal(t, http.StatusOK, get(t, host.URL+"/stripe/pay/style.css").StatusCode)
	require.Equal(t, http.StatusPaymentRequired, press(t, sess.URL, "decline").StatusCode)
	resp := press(t, sess.URL, "pay")
	require.Equal(t, "https://shop.example/success?session_id="+sess.ID, resp.Header.Get("Location"))
}

func TestPage_OffersBankDebit(t *testing.T) {
	t.Parallel()
	for offered, status := range map[bool]int{true: http.StatusSeeOther, false: http.StatusBadRequest} {
		s := start(t, stripetest.Options{BankDebit: offered})
		sess := s.create(t)
		if offered {
			require.Equal(t, []string{"card", "sepa_debit"}, sess.PaymentMethodTypes)
			require.Contains(t, read(t, get(t, sess.URL)), "Pay by bank debit")
		} else {
			require.NotContains(t, read(t, get(t, sess.URL)), "bank debit")
		}
		require.Equal(t, status, press(t, sess.URL, "debit").StatusCode)
		known, err := s.Session(sess.ID)
		require.NoError(t, err)
		require.Equal(t, stripetest.Unpaid, known.PaymentStatus)
		require.Equal(t, offered, known.Status == stripetest.Complete)
		if offered {
			require.Contains(t, read(t, get(t, sess.URL)), "waits for a bank debit")
		}
	}
}
