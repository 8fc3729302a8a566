package main_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func (a answer) refusedForHolds(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, a.status, a.body)
	code, fields := a.code(t)
	require.Equal(t, "too_many_holds", code)
	require.Empty(t, fields)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 1801, seconds, 1800, "when the first of them ends: 1 second to an hour")
}

// Three open holds per e-mail address, in either case.
func TestHolds_PerEmail(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	var last created
	for n := range 3 {
		a := ada.post("/api/bookings", wish(ada.slot(0),
			m{"email": []string{"ada@example.com", "ADA@example.com", "Ada@Example.com"}[n]}), "Idempotency-Key",
			strconv.Itoa(n))
		require.Equal(t, http.StatusCreated, a.status, a.body)
		a.into(t, &last)
	}
	fourth := ada.slot(0)
	ada.post("/api/bookings", wish(fourth, nil)).refusedForHolds(t)
	require.Equal(t, 3, h.count("bookings"))
	require.Equal(t, http.StatusCreated,
		h.client().post("/api/bookings", wish(fourth, m{"email": "bob@example.com"})).status, "others may")

	page := ada.form("/book", filled(ada.slot(0), "k"))
	require.Equal(t, http.StatusTooManyRequests, page.status)
	require.NotEmpty(t, page.header.Get("Retry-After"))
	require.Contains(t, page.body, "You already have 3 unpaid bookings")
	require.Contains(t, page.body, `value="ada@example.com"`, "what was typed is kept")

	// A repeat is answered as before.
	var v shown
	ada.get("/api/bookings/"+last.ID+"?token="+last.Token).into(t, &v)
	again := ada.post("/api/bookings", wish(v.Start, m{"email": "Ada@Example.com"}), "Idempotency-Key", "2")
	require.Equal(t, http.StatusCreated, again.status, again.body)
	var repeat created
	again.into(t, &repeat)
	require.Equal(t, last, repeat)

	// Paid and cancelled bookings do not count.
	_, err := h.StripeFake().Pay(t.Context(), last.StripeSessionID)
	require.NoError(t, err)
	a := ada.post("/api/bookings", wish(ada.slot(0), nil))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	a.into(t, &last)
	ada.post("/api/bookings", wish(ada.slot(0), nil)).refusedForHolds(t)
	require.Equal(t, http.StatusOK, ada.post("/api/bookings/"+last.ID+"/cancel?token="+last.Token, nil).status)
	require.Equal(t, http.StatusCreated, ada.post("/api/bookings", wish(ada.slot(0), nil)).status)
}

// Other e-mail addresses and a forged header do not help.
func TestHolds_PerAddress(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"HOLDS_PER_ADDRESS": "2"})
	ada := h.client()
	book := func(email string, header ...string) answer {
		return ada.post("/api/bookings", wish(ada.slot(0), m{"email": email}), header...)
	}
	require.Equal(t, http.StatusCreated, book("a@example.com").status)
	require.Equal(t, http.StatusCreated, book("b@example.com").status)
	book("c@example.com").refusedForHolds(t)
	book("d@example.com", "X-Forwarded-For", "198.51.100.7").refusedForHolds(t)
	page := ada.form("/book", url.Values{
		"resource": {"studio"}, "start": {ada.slot(0)}, "firstName": {"E"}, "lastName": {"F"},
		"email": {"e@example.com"},
	})
	require.Equal(t, http.StatusTooManyRequests, page.status)
	require.Contains(t, page.body, "There are too many unpaid bookings from your network")
}

// Behind a trusted proxy the limit is per client, and per network for IPv6.
func TestHolds_PerAddressBehindProxy(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"HOLDS_PER_ADDRESS": "1", "TRUST_PROXY": "1"})
	ada := h.client()
	for n, w := range []struct {
		address string
		status  int
	}{
		{"198.51.100.7", 201}, {"198.51.100.7", 429}, {"198.51.100.8", 201}, {"2001:db8:1:2::1", 201},
		{"2001:db8:1:2:ffff::9", 429}, {"2001:db8:1:3::1", 201},
	} {
		a := ada.post("/api/bookings", wish(ada.slot(0), m{"email": strconv.Itoa(n) + "@example.com"}),
			"X-Forwarded-For", w.address)
		require.Equal(t, w.status, a.status, "%s: %s", w.address, a.body)
	}
}

func (a answer) refusedForRate(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, a.status, a.body)
	code, fields := a.code(t)
	require.Equal(t, "too_many_bookings", code)
	require.Empty(t, fields)
	a.retriedWithinAMinute(t)
}

func (a answer) retriedWithinAMinute(t *testing.T) {
	t.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 30, seconds, 30)
	require.Positive(t, seconds)
}

// M6: Free bookings count like open holds, on each route.
func TestHolds_FreeBookings(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "yard", Name: "Yard", Price: booking.Money{Currency: "eur"}})
	ada := h.client()
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour)
	body := func(n int, email string) m {
		return wish(start.Add(time.Duration(n)*time.Hour).Format(time.RFC3339), m{"resource": "yard", "email": email})
	}
	form := func(n int, email string) url.Values {
		return url.Values{"resource": {"yard"}, "start": {start.Add(time.Duration(n) * time.Hour).Format(time.RFC3339)},
			"firstName": {"Ada"}, "lastName": {"Lovelace"}, "email": {email}}
	}
	var first created
	a := ada.post("/api/bookings", body(0, "ada@example.com"))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	a.into(t, &first)
	require.Equal(t, "confirmed", first.Status)
	require.Equal(t, http.StatusOK, ada.post("/create-checkout-session", body(1, "ADA@example.com")).status)
	require.Equal(t, http.StatusSeeOther, ada.form("/book", form(2, "Ada@example.com")).status)

	ada.post("/api/bookings", body(3, "ada@example.com")).refusedForHolds(t)
	ada.post("/create-checkout-session", body(3, "ada@example.com")).refusedForHolds(t)
	page := ada.form("/book", form(3, "ada@example.com"))
	require.Equal(t, http.StatusTooManyRequests, page.status)
	require.Contains(t, page.body, "You already have 3 unpaid or free bookings.")
	ada.post("/api/bookings", wish(ada.slot(0), m{"resource": "studio"})).refusedForHolds(t)

	require.Equal(t, http.StatusOK, ada.act(first, "cancel", nil).status)
	require.Equal(t, http.StatusCreated, ada.post("/api/bookings", body(3, "ada@example.com")).status)
	ada.post("/api/bookings", body(4, "ada@example.com")).refusedForHolds(t)
}

// M6: The limit holds over all replicas, routes and moves. Invalid requests do not count.
func TestBookingLimit_PerMinute(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "TRUST_PROXY": "1", "SESSION_SECRET": newSecret,
		"HOLDS_PER_ADDRESS": "3", "BOOKINGS_PER_MINUTE": "1"}
	here, there := startHost(t, env), startHost(t, env)
	const office, home = "203.0.113.7", "198.51.100.9"
	ada, bob := here.client(), there.client()
	for range 20 {
		require.Equal(t, http.StatusBadRequest,
			ada.post("/api/bookings", wish(ada.slot(0), m{"email": "ada"}), "X-Forwarded-For", office).status)
	}
	var kept created
	for n := range 3 {
		c := []*client{ada, bob}[n%2]
		a := c.post("/api/bookings", wish(c.slot(0), nil), "X-Forwarded-For", office)
		require.Equal(t, http.StatusCreated, a.status, a.body)
		a.into(t, &kept)
		if n < 2 {
			require.Equal(t, http.StatusOK, c.act(kept, "cancel", nil).status)
		}
	}
	move := func(c *client) answer {
		return c.post("/api/bookings/"+kept.ID+"/reschedule?token="+kept.Token, m{"start": c.slot(1)},
			"X-Forwarded-For", office)
	}
	require.Equal(t, http.StatusOK, move(bob).status, "the fourth")

	bob.post("/api/bookings", wish(bob.slot(0), nil), "X-Forwarded-For", office).refusedForRate(t)
	ada.post("/create-checkout-session", wish(ada.slot(0), m{"email": "other@example.com"}), "X-Forwarded-For",
		office).refusedForRate(t)
	move(ada).refusedForRate(t)
	for path, values := range map[string]url.Values{
		"/book":         filled(ada.slot(0), "k"),
		"/booking/move": {"booking": {kept.ID}, "token": {kept.Token}, "start": {ada.slot(0)}},
	} {
		page := ada.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(values.Encode()),
			"X-Forwarded-For", office)
		require.Equal(t, http.StatusTooManyRequests, page.status, path)
		require.Contains(t, page.body, "Too many bookings are being made from your network.")
		page.retriedWithinAMinute(t)
	}
	require.Equal(t, 3, here.count("bookings"))
	require.Equal(t, http.StatusBadRequest,
		ada.post("/api/bookings", wish(ada.slot(0), m{"email": "ada"}), "X-Forwarded-For", office).status)

	admin := here.admin()
	require.Equal(t, http.StatusOK, admin.post("/api/bookings/"+kept.ID+"/reschedule", m{"start": ada.slot(1)},
		"X-Forwarded-For", office).status, "staff are not limited")
	require.Equal(t, http.StatusCreated,
		ada.post("/api/bookings", wish(ada.slot(0), nil), "X-Forwarded-For", home).status, "nor is another network")
}

// M6.
func TestBookingLimit_CountingFails(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	_, err := h.db.Exec(`DROP TABLE booking_platform.rate_limits`)
	require.NoError(t, err)
	ada := h.client()
	a := ada.post("/api/bookings", wish(ada.slot(0), nil))
	require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)
	require.NotEmpty(t, a.header.Get("Retry-After"))
	require.Equal(t, http.StatusServiceUnavailable, ada.form("/book", filled(ada.slot(0), "k")).status)
	require.Equal(t, http.StatusServiceUnavailable,
		ada.post("/auth/login", m{"email": adminEmail, "password": adminPassword}).status)
	require.Zero(t, h.count("bookings"))
}

// M21: Holds of other networks with a customer's e-mail address do not lock the customer
// out.
func TestHolds_InAnotherCustomersName(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"TRUST_PROXY": "1"})
	ada := h.client()
	book := func(network string) answer {
		return ada.post("/api/bookings", wish(ada.slot(0), m{"email": "victim@example.com"}), "X-Forwarded-For",
			network)
	}
	for _, network := range []string{"203.0.113.1", "203.0.113.2"} {
		for range 3 {
			require.Equal(t, http.StatusCreated, book(network).status)
		}
		book(network).refusedForHolds(t)
	}
	for range 3 {
		require.Equal(t, http.StatusCreated, book("198.51.100.7").status)
	}
	book("198.51.100.7").refusedForHolds(t)
}

// M20: Another customer's key reveals nothing and can be used.
func TestIdempotencyKey_OfAnotherCustomer(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "tour", Name: "Tour", Capacity: 9,
		Price: booking.Money{Minor: 1500, Currency: "eur"}})
	start := time.Now().AddDate(0, 0, 3).UTC().Truncate(time.Hour).Format(time.RFC3339)
	book := func(status int, changes m) (b created) {
		t.Helper()
		changes["resource"] = "tour"
		a := h.client().post("/api/bookings", wish(start, changes), "Idempotency-Key", "order-1")
		require.Equal(t, status, a.status, a.body)
		if status == http.StatusCreated {
			a.into(t, &b)
		}
		return b
	}
	eves := book(http.StatusCreated, m{"email": "eve@example.com"})
	adas := book(http.StatusCreated, m{})
	require.NotEqual(t, eves.ID, adas.ID)
	require.NotEqual(t, eves.Token, adas.Token)
	bobs := book(http.StatusCreated, m{"email": "bob@example.com", "party": 2})
	require.NotContains(t, []string{eves.ID, adas.ID}, bobs.ID)
	require.Equal(t, adas, book(http.StatusCreated, m{"email": "ADA@example.com"}))
	require.Equal(t, eves, book(http.StatusCreated, m{"email": "eve@example.com"}))
	book(http.StatusUnprocessableEntity, m{"party": 2})
}
