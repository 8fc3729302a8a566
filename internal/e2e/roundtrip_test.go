package e2e_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/pages"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// Without background steps and the host's rate limit, which takes one more for each
// booking.
func TestRoundTrips_BookAndReturn(t *testing.T) {
	t.Parallel()
	const key, secret, session = "sk_test_trips", "whsec_trips", "0123456789abcdef0123456789abcdef"
	db, trips := testdb.Counting(t)
	owners, err := booking.DeriveOwnerSecrets([]string{session})
	require.NoError(t, err)
	bookings, err := booking.New(db, booking.Options{OwnerSecrets: owners, MaxHoldsPerEmail: 3, MaxHoldsPerClient: 100})
	require.NoError(t, err)
	receiver, err := webhook.New(db, []string{secret}, webhook.Options{})
	require.NoError(t, err)
	hook := httptest.NewServer(receiver)
	t.Cleanup(hook.Close)
	stripe, err := stripetest.New(stripetest.Options{SecretKey: key, WebhookURL: hook.URL, WebhookSecret: secret})
	require.NoError(t, err)
	calls := httptest.NewServer(stripe)
	t.Cleanup(calls.Close)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = stripe.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	pay, err := payments.New(db, bookings, key, "https://booking.example", payments.Options{BaseURL: calls.URL})
	require.NoError(t, err)
	pay.Register(receiver)
	users, err := auth.NewUsers(db, auth.UsersOptions{})
	require.NoError(t, err)
	guard, err := auth.New(db, []string{session}, auth.Options{Users: users})
	require.NoError(t, err)
	client := func(context.Context) string { return "192.0.2.1" }
	routes, err := api.New(api.Deps{Bookings: bookings, Payments: pay, Auth: guard, Receiver: receiver},
		api.Options{URL: "https://booking.example", Client: client})
	require.NoError(t, err)
	site, err := pages.New(pages.Deps{Bookings: bookings, Payments: pay, Auth: guard, Receiver: receiver},
		pages.Options{URL: "https://booking.example", Client: client})
	require.NoError(t, err)
	router := http.NewServeMux()
	router.Handle("/api/", routes)
	router.Handle("/", site)

	_, err = bookings.CreateResource(t.Context(),
		booking.Resource{Slug: "court", Name: "Court", TimeZone: "Europe/Paris",
			Capacity: 1, SlotLength: time.Hour, Price: booking.Money{Minor: 2500, Currency: "eur"}})
	require.NoError(t, err)
	slot := func(n int) string {
		return time.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(48+n) * time.Hour).Format(time.RFC3339)
	}
	ask := func(method, target, kind, body string) (int, *httptest.ResponseRecorder) {
		t.Helper()
		req := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		req.Header.Set("Content-Type", kind)
		before, rec := trips.Load(), httptest.NewRecorder()
		router.ServeHTTP(rec, req)
		return int(trips.Load() - before), rec
	}
	book := func(n int) (int, *httptest.ResponseRecorder) {
		return ask(http.MethodPost, "/api/bookings", "application/json",
			`{"resource":"court","start":"`+slot(n)+
				`","firstName":"Ada","lastName":"Lovelace","email":"ada@example.com"}`)
	}
	_, rec := book(0)
	require.Equal(t, http.StatusCreated, rec.Code)
	n, rec := book(1)
	require.Equal(t, http.StatusCreated, rec.Code, rec.Body)
	require.Equal(t, 3, n, "POST /api/bookings: hold, payment, session")

	n, rec = ask(http.MethodGet, "/api/resources/court/availability?from=2026-12-01&to=2026-12-07", "", "")
	require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	require.Equal(t, 1, n, "GET availability")

	form := url.Values{"resource": {"court"}, "start": {slot(2)}, "party": {"1"}, "firstName": {"Ada"},
		"lastName": {"Lovelace"}, "email": {"ada@example.com"}, "key": {"once"}}
	n, rec = ask(http.MethodPost, "/book", "application/x-www-form-urlencoded", form.Encode())
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body)
	require.Equal(t, 3, n, "POST /book")

	open := stripe.Sessions()
	_, err = stripe.Pay(t.Context(), open[0].ID)
	require.NoError(t, err)
	require.NoError(t, stripe.WaitDelivered(t.Context()))
	n, rec = ask(http.MethodGet, "/success?session_id="+open[0].ID, "", "")
	page, err := io.ReadAll(rec.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, string(page), "Ada Lovelace")
	require.Equal(t, 3, n, "GET /success: payment, booking, resource")
}
