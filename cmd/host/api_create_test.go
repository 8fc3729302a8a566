package main_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

type created struct {
	ID, URL, StripeSessionID, Status, Token string
	ExpiresAt                               time.Time
}

type shown struct {
	ID, Resource, Start, End, Status, Currency, FirstName, LastName, Email string
	Party                                                                  int
	Amount                                                                 int64
	Payment                                                                *struct {
		Status, Currency                   string
		Amount, AmountPaid, AmountRefunded int64
	}
}

// From the request to the confirmation, and what customer and staff see.
func TestAPI_BookPayConfirmed(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, admin := h.client(), h.admin()
	start := ada.slot(0)

	a := ada.post("/api/bookings", wish(start, nil), "X-Request-Id", "the-first-request")
	require.Equal(t, http.StatusCreated, a.status, a.body)
	var b created
	a.into(t, &b)
	require.Equal(t, "pending", b.Status)
	require.NotEmpty(t, b.StripeSessionID)
	require.Contains(t, b.URL, h.URL()+"/stripe/pay/")
	require.WithinDuration(t, time.Now().Add(35*time.Minute), b.ExpiresAt, time.Minute)

	session, err := h.StripeFake().Session(b.StripeSessionID)
	require.NoError(t, err)
	require.Equal(t, "the-first-request", session.Metadata["request_id"],
		"the webhook's line can be joined to the request")
	require.EqualValues(t, 2500, session.AmountTotal)

	var v shown
	ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
	require.Equal(t, "pending", v.Status)
	require.Equal(t, "open", v.Payment.Status)

	_, err = h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	ada.get("/api/bookings/"+b.ID, "Authorization", "Bearer "+b.Token).into(t, &v)
	require.Equal(t, "confirmed", v.Status)
	require.Equal(t, start, v.Start, "in the resource's own offset")
	require.Equal(t, "paid", v.Payment.Status)
	require.EqualValues(t, 2500, v.Payment.AmountPaid)
	require.Equal(t, "eur", v.Currency)

	var list struct {
		Items []shown
		Meta  struct {
			Count int
			Next  string
		}
	}
	for _, path := range []string{"/reservations", "/api/bookings?status=confirmed", "/api/bookings?resource=studio"} {
		admin.get(path).into(t, &list)
		require.Len(t, list.Items, 1)
		require.Equal(t, b.ID, list.Items[0].ID)
		require.Equal(t, 1, list.Meta.Count)
	}
	var events struct {
		Items []struct{ Type, Outcome, StripeSessionID string }
	}
	admin.get("/payments").into(t, &events)
	require.Len(t, events.Items, 1)
	require.Equal(t, "checkout.session.completed", events.Items[0].Type)
	require.Equal(t, "processed", events.Items[0].Outcome)

	var metrics struct {
		Webhook map[string]int64
		Runtime struct {
			UptimeSeconds, HTTP5xx int64
			Version                string
		}
	}
	admin.get("/admin/metrics").into(t, &metrics)
	require.EqualValues(t, 1, metrics.Webhook["received"])
	require.EqualValues(t, 1, metrics.Webhook["processed"])
	require.Zero(t, metrics.Runtime.HTTP5xx)
	require.NotEmpty(t, metrics.Runtime.Version)

	a = ada.post("/api/bookings/"+b.ID+"/cancel?token="+b.Token, nil)
	require.Equal(t, http.StatusOK, a.status, a.body)
	eventually(t, "the money has gone back", func() bool { return h.StripeFake().Balance()["eur"].Kept() == 0 })
}

func TestAPICreate_DateAndTime(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	start, err := time.Parse(time.RFC3339, ada.slot(3))
	require.NoError(t, err)
	a := ada.post("/create-checkout-session", wish("", m{
		"start": nil, "date": start.Format(time.DateOnly), "time": start.Format("15:04"), "resource": "studio",
	}))
	require.Equal(t, http.StatusOK, a.status, a.body)
	var b created
	a.into(t, &b)
	var v shown
	ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
	require.Equal(t, start.Format(time.RFC3339), v.Start)
}

func TestAPICreate_IdempotencyKey(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	start := ada.slot(0)
	var first, second created
	ada.post("/api/bookings", wish(start, nil), "Idempotency-Key", "key-1").into(t, &first)
	ada.post("/create-checkout-session", wish(start, nil), "Idempotency-Key", "key-1").into(t, &second)
	require.NotEmpty(t, first.ID)
	require.Equal(t, first, second, "the same booking, page and link")

	a := ada.post("/api/bookings", wish(start, m{"firstName": "Bob"}), "Idempotency-Key", "key-1")
	require.Equal(t, http.StatusUnprocessableEntity, a.status)
	code, _ := a.code(t)
	require.Equal(t, "idempotency_mismatch", code)

	_, err := h.StripeFake().Pay(t.Context(), first.StripeSessionID)
	require.NoError(t, err)
	ada.post("/api/bookings", wish(start, nil), "Idempotency-Key", "key-1").into(t, &second)
	require.Equal(t, "confirmed", second.Status, "the repeat tells what has become of it")
	first.Status = "confirmed"
	require.Equal(t, first, second)
	require.Equal(t, 1, h.count("bookings"))

	_, err = h.Bookings().Hold(t.Context(), booking.HoldRequest{
		Resource: "studio", Start: mustTime(t, ada.slot(5)), IdempotencyKey: "key-1",
		Customer: booking.Customer{FirstName: "E", LastName: "F", Email: "e@example.com"},
	})
	require.NoError(t, err, "an embedder's keys are another namespace")
}

func mustTime(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	require.NoError(t, err)
	return at
}

func TestAPICreate_FreeOfCharge(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "talk", Name: "Talk", Capacity: 10})
	ada := h.client()
	a := ada.post("/api/bookings", wish(time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339),
		m{"resource": "talk", "party": 3}))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	var b created
	a.into(t, &b)
	require.Equal(t, "confirmed", b.Status)
	require.Empty(t, b.StripeSessionID)
	u, err := url.Parse(b.URL)
	require.NoError(t, err)
	require.Equal(t, h.URL()+"/success", u.Scheme+"://"+u.Host+u.Path)
	require.Equal(t, b.Token, u.Query().Get("token"))
	require.Contains(t, ada.get(b.URL).body, "Your booking is confirmed")
	var v shown
	ada.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
	require.Nil(t, v.Payment)
	require.Equal(t, 3, v.Party)

	// Cancelling can be repeated, and frees the slot.
	for range 2 {
		ada.post("/api/bookings/"+b.ID+"/cancel", nil, "Authorization", "Bearer "+b.Token).into(t, &v)
		require.Equal(t, "cancelled", v.Status)
	}
}

// The hold is given up at once, and the client may retry.
func TestAPICreate_StripeUnavailable(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{
		"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_12345678",
		"STRIPE_API_BASE": "http://127.0.0.1:1",
	})
	ada := h.client()
	start := ada.slot(0)
	a := ada.post("/api/bookings", wish(start, nil), "Idempotency-Key", "again")
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	code, _ := a.code(t)
	require.Equal(t, "payment_unavailable", code)
	require.NotContains(t, a.body, "127.0.0.1")
	require.Equal(t, start, ada.slot(0), "free again")
	require.Contains(t, h.log.String(), "stripe: could not create the Checkout Session")
}

// many raises the limits of open holds: these tests are about slots.
var many = map[string]string{"HOLDS_PER_EMAIL": "200", "HOLDS_PER_ADDRESS": "200"}

// fight books the same slots with n clients at once and counts the answers.
func (r *running) fight(n int, body m) map[int]int {
	r.t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(r.t, err)
	http := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	begin := make(chan struct{})
	var mu sync.Mutex
	var all sync.WaitGroup
	statuses := map[int]int{}
	for range n {
		all.Go(func() {
			<-begin
			status := 0
			if res, err := http.Post(r.URL()+"/api/bookings", "application/json", bytes.NewReader(raw)); err == nil {
				status = res.StatusCode
				res.Body.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	close(begin)
	all.Wait()
	return statuses
}

func TestAPICreate_HundredClientsOneSlot(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	require.Equal(t, map[int]int{http.StatusCreated: 1, http.StatusConflict: 99},
		h.fight(100, wish(h.client().slot(0), nil)))
	require.Equal(t, 1, h.count("bookings"))
	require.Len(t, h.StripeFake().Sessions(), 1)
}

func TestAPICreate_ThirtyTwoClientsThirtyTwoUnits(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	h.addResource(booking.Resource{Slug: "tour", Name: "Tour", Capacity: 32,
		Price: booking.Money{Minor: 1500, Currency: "eur"}})
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339)
	require.Equal(t, map[int]int{http.StatusCreated: 32}, h.fight(32, wish(start, m{"resource": "tour"})))
	require.Equal(t, 32, h.count("bookings"))
	require.Equal(t, map[int]int{http.StatusConflict: 8}, h.fight(8, wish(start, m{"resource": "tour"})), "sold out")
}
