package main

import (
	"context"
	"database/sql"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 30 * time.Second

// fixture is the shop on an empty database, with a Stripe of its own.
type fixture struct {
	*shop
	stripe  *stripetest.Server
	address string
}

func start(t *testing.T) fixture {
	t.Helper()
	db, web := pgtest.New(t), http.NewServeMux()
	stripe, server := stripetest.Start(t, web), httptest.NewServer(web)
	t.Cleanup(server.Close)
	s, err := newShop(t.Context(), db, server.URL,
		account{stripetest.SecretKey, stripetest.WebhookSecret, stripe.URL()})
	require.NoError(t, err)
	web.Handle("/", s.routes())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.background(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	return fixture{s, stripe, server.URL}
}

// form is the front page's form with its second slot: the first may begin any moment, and
// a hold ends when its slot begins.
func form(t *testing.T, address string) url.Values {
	t.Helper()
	_, page := answer(t)(http.Get(address))
	field := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(page)
		require.NotNil(t, found, page)
		return html.UnescapeString(found[1])
	}
	return url.Values{
		"order": {field(`name="order" value="([^"]+)"`)}, "start": {field(`(?s)<option .*?<option value="([^"]+)"`)},
		"first": {"Ada"}, "last": {"Lovelace"}, "email": {"ada@example.com"},
	}
}

// answer reads a response.
func answer(t *testing.T) func(*http.Response, error) (*http.Response, string) {
	return func(resp *http.Response, err error) (*http.Response, string) {
		t.Helper()
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp, string(body)
	}
}

func (s fixture) status(t *testing.T, order string) (status string, booked booking.Status) {
	t.Helper()
	var id sql.NullString
	require.NoError(t, s.db.QueryRowContext(t.Context(),
		`SELECT status, booking_id FROM shop.orders WHERE id = $1`, order).Scan(&status, &id))
	if id.Valid {
		b, err := s.bookings.Get(t.Context(), id.String)
		require.NoError(t, err)
		require.Equal(t, order, b.Reference)
		booked = b.Status
	}
	return status, booked
}

// The customer's way: front page, pay page, order page. Repeated webhooks change nothing.
func TestShop_BooksAndPays(t *testing.T) {
	t.Parallel()
	s := start(t)
	address := s.address
	f := form(t, address)
	pay, page := answer(t)(http.PostForm(address+"/orders", f))
	require.Equal(t, http.StatusOK, pay.StatusCode, page)
	require.Contains(t, pay.Request.URL.Path, "/pay/cs_test_", "booking redirects to the pay page")
	require.Contains(t, page, "Court 1")
	status, _ := s.status(t, f.Get("order"))
	require.Equal(t, "open", status)

	session := s.stripe.Sessions()[0]
	_, err := s.stripe.Pay(t.Context(), session.ID)
	require.NoError(t, err)
	back, page := answer(t)(http.Get(address + "/success?session_id=" + session.ID))
	require.Equal(t, "/orders/"+f.Get("order"), back.Request.URL.Path)
	require.Contains(t, page, "Your order: paid")

	for _, event := range s.stripe.Events() {
		attempts, err := s.stripe.Resend(t.Context(), event.ID, 5)
		require.NoError(t, err)
		for _, a := range attempts {
			require.True(t, a.OK(), a)
		}
	}
	status, booked := s.status(t, f.Get("order"))
	require.Equal(t, "paid", status)
	require.Equal(t, booking.StatusConfirmed, booked)
	require.Equal(t, int64(2500), s.stripe.Balance()["eur"].Kept())
}

// Without the order's row the payment is not applied either; the next delivery commits
// both.
func TestShop_OrderAndBookingTogether(t *testing.T) {
	t.Parallel()
	s := start(t)
	address := s.address
	_, err := s.db.ExecContext(t.Context(), `ALTER TABLE shop.orders ADD CONSTRAINT none_paid CHECK (status = 'open')`)
	require.NoError(t, err)
	f := form(t, address)
	answer(t)(http.PostForm(address+"/orders", f))
	_, err = s.stripe.Pay(t.Context(), s.stripe.Sessions()[0].ID)
	require.NoError(t, err)
	event := s.stripe.Events()[0]
	require.Equal(t, http.StatusInternalServerError, event.LastStatus())
	held, err := s.bookings.List(t.Context(), booking.ListOptions{Reference: f.Get("order")})
	require.NoError(t, err)
	require.Len(t, held.Bookings, 1)
	require.Equal(t, booking.StatusPending, held.Bookings[0].Status)

	_, err = s.db.ExecContext(t.Context(), `ALTER TABLE shop.orders DROP CONSTRAINT none_paid`)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, s.stripe.WaitDelivered(ctx, event.ID))
	status, booked := s.status(t, f.Get("order"))
	require.Equal(t, "paid", status)
	require.Equal(t, booking.StatusConfirmed, booked)
}

// A second click is the same order. Another customer's form for the hour, or with this
// order's id, is refused.
func TestShop_SlotIsSoldOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	address := s.address
	f := form(t, address)
	first, _ := answer(t)(http.PostForm(address+"/orders", f))
	second, _ := answer(t)(http.PostForm(address+"/orders", f))
	require.Equal(t, first.Request.URL.String(), second.Request.URL.String())
	require.Len(t, s.stripe.Sessions(), 1)

	f.Set("email", "grace@example.com")
	other, page := answer(t)(http.PostForm(address+"/orders", f))
	require.Equal(t, http.StatusConflict, other.StatusCode)
	require.Contains(t, page, "another customer")
	f.Set("order", strings.Repeat("B", len(f.Get("order"))))
	other, page = answer(t)(http.PostForm(address+"/orders", f))
	require.Equal(t, http.StatusConflict, other.StatusCode)
	require.Contains(t, page, "choose another time")
	require.Len(t, s.stripe.Sessions(), 1)
}

func TestShop_Refusals(t *testing.T) {
	t.Parallel()
	address := start(t).address
	for field, c := range map[string]struct {
		value string
		want  int
	}{
		"start": {"tomorrow", http.StatusBadRequest}, "order": {"1", http.StatusBadRequest},
		"email": {"ada", http.StatusUnprocessableEntity}, "first": {"", http.StatusUnprocessableEntity},
	} {
		f := form(t, address)
		f.Set(field, c.value)
		resp, page := answer(t)(http.PostForm(address+"/orders", f))
		require.Equal(t, c.want, resp.StatusCode, page)
	}
	for _, path := range []string{"/orders/1", "/success?session_id=cs_test_1", "/success"} {
		resp, _ := answer(t)(http.Get(address + path))
		require.Equal(t, http.StatusNotFound, resp.StatusCode, path)
	}
}

// Without a key the shop serves a fake, as main does.
func TestRun_WithTheFake(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := "http://" + listener.Addr().String()
	fake, stripe, err := newFake(address)
	require.NoError(t, err)
	s, err := newShop(t.Context(), pgtest.New(t), address, stripe)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, listener, fake) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-done) })
	pay, page := answer(t)(http.PostForm(address+"/orders", form(t, address)))
	require.Contains(t, pay.Request.URL.Path, "/stripe/pay/cs_test_", page)
	_, err = fake.Pay(t.Context(), fake.Sessions()[0].ID)
	require.NoError(t, err)
	require.True(t, fake.Events()[0].Delivered)
}
