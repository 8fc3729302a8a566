package main_test

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusedForHolds checks an answer that refuses another hold.
func (a answer) refusedForHolds(t *testing.T) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, a.status, a.body)
	code, fields := a.code(t)
	require.Equal(t, "too_many_holds", code)
	require.Empty(t, fields)
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 1800, seconds, 1800-1, "when the first hold ends, an hour at most")
}

// Nobody holds the whole calendar: three open holds for one e-mail address, in whatever case.
func TestHoldsPerEmail(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	var last created
	for n := range 3 {
		a := ada.post("/api/bookings", wish(ada.slot(0), m{"email": []string{"ada@example.com", "ADA@example.com", "Ada@Example.com"}[n]}), "Idempotency-Key", strconv.Itoa(n))
		require.Equal(t, http.StatusCreated, a.status, a.body)
		a.into(t, &last)
	}
	fourth := ada.slot(0)
	ada.post("/api/bookings", wish(fourth, nil)).refusedForHolds(t)
	require.Equal(t, 3, h.count("bookings"))
	require.Equal(t, http.StatusCreated, h.client().post("/api/bookings", wish(fourth, m{"email": "bob@example.com"})).status, "others may")

	page := ada.form("/book", filled(ada.slot(0), "k"))
	require.Equal(t, http.StatusTooManyRequests, page.status)
	require.NotEmpty(t, page.header.Get("Retry-After"))
	require.Contains(t, page.body, "You hold 3 times already")
	require.Contains(t, page.body, `value="ada@example.com"`, "what was typed is kept")

	// What is made already is answered again.
	var v shown
	ada.get("/api/bookings/"+last.ID+"?token="+last.Token).into(t, &v)
	again := ada.post("/api/bookings", wish(v.Start, m{"email": "Ada@Example.com"}), "Idempotency-Key", "2")
	require.Equal(t, http.StatusCreated, again.status, again.body)
	var repeat created
	again.into(t, &repeat)
	require.Equal(t, last, repeat)

	// One that is paid for is no open hold any more, and neither is one that was cancelled.
	_, err := h.StandIn().Pay(t.Context(), last.StripeSessionID)
	require.NoError(t, err)
	a := ada.post("/api/bookings", wish(ada.slot(0), nil))
	require.Equal(t, http.StatusCreated, a.status, a.body)
	a.into(t, &last)
	ada.post("/api/bookings", wish(ada.slot(0), nil)).refusedForHolds(t)
	require.Equal(t, http.StatusOK, ada.post("/api/bookings/"+last.ID+"/cancel?token="+last.Token, nil).status)
	require.Equal(t, http.StatusCreated, ada.post("/api/bookings", wish(ada.slot(0), nil)).status)
}

// Another e-mail address each time does not help, nor does a header in which a stranger says that they are somebody else.
func TestHoldsPerAddress(t *testing.T) {
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
		"resource": {"studio"}, "start": {ada.slot(0)}, "firstName": {"E"}, "lastName": {"F"}, "email": {"e@example.com"},
	})
	require.Equal(t, http.StatusTooManyRequests, page.status)
	require.Contains(t, page.body, "Too many times are being held from where you are")
}

// Behind a proxy that is trusted each client has a limit of their own, and of IPv6 a network has one.
func TestHoldsPerAddressBehindAProxy(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"HOLDS_PER_ADDRESS": "1", "TRUST_PROXY": "1"})
	ada := h.client()
	for n, w := range []struct {
		address string
		status  int
	}{
		{"198.51.100.7", 201}, {"198.51.100.7", 429}, {"198.51.100.8", 201}, {"2001:db8:1:2::1", 201}, {"2001:db8:1:2:ffff::9", 429}, {"2001:db8:1:3::1", 201},
	} {
		a := ada.post("/api/bookings", wish(ada.slot(0), m{"email": strconv.Itoa(n) + "@example.com"}), "X-Forwarded-For", w.address)
		require.Equal(t, w.status, a.status, "%s: %s", w.address, a.body)
	}
}
