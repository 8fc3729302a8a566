package stripetest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
)

func TestPayDelayed_Succeeds(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess, err := s.PayDelayed(within(t), s.create(t).ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Complete, sess.Status)
	require.Equal(t, stripetest.Unpaid, sess.PaymentStatus)
	var told struct {
		Data struct{ Object stripe.CheckoutSession }
	}
	require.NoError(t, json.Unmarshal(s.Events()[0].Payload, &told))
	require.Equal(t, stripe.CheckoutSessionPaymentStatusUnpaid, told.Data.Object.PaymentStatus)
	require.Equal(t, sess.PaymentIntentID, told.Data.Object.PaymentIntent.ID)
	intent, err := s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusProcessing, intent.Status)
	require.Zero(t, intent.AmountReceived)
	require.Equal(t, stripetest.ChargePending, s.Charges()[0].Status)
	require.Empty(t, s.Balance())
	_, err = s.refunds().New(of(sess, 0))
	require.Contains(t, stripeError(t, err).Msg, "does not have a successful charge to refund")
	_, err = s.Dispute(sess.ID)
	require.ErrorContains(t, err, "cannot be disputed")

	sess, err = s.SettlePayment(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Paid, sess.PaymentStatus)
	require.Equal(t, []string{"checkout.session.completed", "checkout.session.async_payment_succeeded"}, s.types(0))
	require.Equal(t, stripetest.Money{Captured: 2500}, s.Balance()["eur"])
	intent, err = s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusSucceeded, intent.Status)
	_, err = s.refunds().New(of(sess, 0))
	require.NoError(t, err)
	_, err = s.FailPayment(sess.ID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
}

func TestPayDelayed_Fails(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	sess, err := s.PayDelayed(within(t), s.create(t).ID)
	require.NoError(t, err)
	sess, err = s.FailPayment(sess.ID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Complete, sess.Status)
	require.Equal(t, stripetest.Unpaid, sess.PaymentStatus)
	require.Equal(t, []string{"checkout.session.async_payment_failed"}, s.types(1))
	intent, err := s.intents().Get(sess.PaymentIntentID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.PaymentIntentStatusRequiresPaymentMethod, intent.Status)
	require.NotEmpty(t, intent.LastPaymentError.Code)
	ch, err := s.charges().Get(intent.LatestCharge.ID, nil)
	require.NoError(t, err)
	require.Equal(t, stripe.ChargeStatusFailed, ch.Status)
	require.NotEmpty(t, ch.FailureCode)
	require.Empty(t, s.Balance())
	_, err = s.SettlePayment(sess.ID)
	require.ErrorIs(t, err, stripetest.ErrNotPending)
}

func TestSettlePayment_OnlyDelayed(t *testing.T) {
	t.Parallel()
	s := start(t, stripetest.Options{})
	open, paid := s.create(t).ID, s.paid(t).ID
	for _, id := range []string{open, paid} {
		_, err := s.SettlePayment(id)
		require.ErrorIs(t, err, stripetest.ErrNotPending)
	}
	_, err := s.SettlePayment("cs_test_none")
	require.ErrorIs(t, err, stripetest.ErrNotFound)
	_, err = s.PayDelayed(within(t), paid)
	require.ErrorIs(t, err, stripetest.ErrNotOpen)
	require.Equal(t, stripetest.Money{Captured: 2500}, s.Balance()["eur"])
}

func TestPay_SessionIsPaid(t *testing.T) {
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

func TestExpire_OpenSessionOnly(t *testing.T) {
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

func TestPay_OneOfManyAtOnce(t *testing.T) {
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

func TestPay_WebhookBeforeCreateIsAnswered(t *testing.T) {
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
