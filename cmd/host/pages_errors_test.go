package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// A browser gets a page where others, and all below /api/, get JSON.
func TestPages_UnknownPathForABrowser(t *testing.T) {
	t.Parallel()
	c := startHost(t, nil).client()
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	page := c.get("/nothing", "Accept", browser, "Accept-Language", "fr")
	require.Equal(t, http.StatusNotFound, page.status)
	require.Contains(t, page.body, "<h1>Cette page n’existe pas</h1>")
	for _, a := range []answer{
		c.get("/nothing"), c.get("/nothing", "Accept", "*/*"), c.get("/api/nothing", "Accept", browser),
		c.get("/static/nothing", "Accept", "application/json"),
	} {
		code, _ := a.code(t)
		require.Equal(t, "not_found", code)
	}
	again := c.get("/book", "Accept", browser)
	require.Equal(t, http.StatusSeeOther, again.status)
	require.Equal(t, "/", again.header.Get("Location"))
}

// Without a free time there is nothing to pay, and offers say what they cost.
func TestPagesBook_NothingFree(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "court", Name: "Court", Price: booking.Money{Minor: 2500, Currency: "eur"},
		Offers: []booking.Offer{{Slug: "lesson", Name: "Lesson", Price: booking.Money{Minor: 4000}}}})
	page := h.client().get("/?resource=court").body
	require.Contains(t, page, ">Lesson, EUR 40.00</a>")
	require.Contains(t, page, ">1 hour, EUR 25.00</a>")
	require.Contains(t, page, "Pay EUR 25.00")
	_, err := h.Bookings().Block(t.Context(), booking.BlockRequest{Resource: "court", From: time.Now(),
		To: time.Now().AddDate(0, 2, 0)})
	require.NoError(t, err)
	page = h.client().get("/?resource=court").body
	require.Contains(t, page, "No time is free on these days.")
	require.NotContains(t, page, "Pay EUR")
	require.NotContains(t, page, `name="email"`)
}

// Requests for the links of an address are counted whether it has bookings or not.
func TestLinks_Limited(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ask := func(email string) error { return h.AdmitLinks(t.Context(), email) }
	for range 3 {
		require.NoError(t, ask("ada@example.com"))
	}
	var limit *payments.RateLimitError
	require.ErrorAs(t, ask(strings.ToUpper("ada@example.com")), &limit)
	require.Greater(t, limit.Seconds(), 600)
	require.NoError(t, ask("bob@example.com"), "another address")
}
