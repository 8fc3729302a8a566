package main_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

var (
	chainInput  = regexp.MustCompile(`name="chain" value="([^"]+)"`)
	leaveLink   = regexp.MustCompile(`href="([^"]*/cancel\?booking=[^"]+)"`)
	payLink     = regexp.MustCompile(`class="button main" href="([^"]+)"`)
	otherTimes  = regexp.MustCompile(`href="([^"]+)">Other times`)
	numberShown = regexp.MustCompile(`<dd class="id">([2-9A-Z]{8})</dd>`)
)

// book sends the form of a page for its nth free time, and returns Stripe's page.
func (c *client) bookFrom(page string, n int) (pay string) {
	c.t.Helper()
	form := filled(html.UnescapeString(slotInput.FindAllStringSubmatch(page, -1)[n][1]), first(c.t, keyInput, page))
	form.Set("chain", first(c.t, chainInput, page))
	a := c.form("/book", form)
	require.Equal(c.t, http.StatusSeeOther, a.status, a.body)
	return a.header.Get("Location")
}

// leavePage is where Stripe's page sends a customer who goes back.
func (c *client) leavePage(pay string) string {
	c.t.Helper()
	s, err := c.StripeFake().Session(pay[strings.LastIndex(pay, "/")+1:])
	require.NoError(c.t, err)
	return strings.ReplaceAll(s.CancelURL, "{CHECKOUT_SESSION_ID}", s.ID)
}

func TestPagesLeave_PayAfterAll(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	pay := c.bookFrom(c.get("/?from="+soon()).body, 0)
	leave := c.leavePage(pay)
	a := c.get(leave)
	require.Equal(t, http.StatusOK, a.status, a.body)
	require.Contains(t, a.body, "<h1>You have not paid yet</h1>")
	require.Regexp(t, `This time is reserved for you until \d\d:\d\d. That is in 3[45] minutes.`, a.body)
	require.Contains(t, a.body, "Pay EUR 25.00")
	require.Contains(t, a.body, "You may cancel free of charge until ")
	number := first(t, numberShown, a.body)
	found, err := h.Bookings().ByNumber(t.Context(), number)
	require.NoError(t, err)
	require.Equal(t, booking.StatusPending, found.Status, "a visit changes nothing")
	require.Equal(t, pay, first(t, payLink, a.body), "the same session")
	require.Equal(t, http.StatusSeeOther, c.form(pay, url.Values{"action": {"pay"}}).status)
	require.NoError(t, h.StripeFake().WaitDelivered(t.Context()))
	paid := c.get(leave)
	require.Equal(t, http.StatusSeeOther, paid.status)
	require.Contains(t, c.get(paid.header.Get("Location")).body, "Your booking is confirmed")

	// A stale page gives up nothing.
	owner := ownerOf(t, a.body)
	require.Equal(t, http.StatusSeeOther, c.form("/cancel", owner).status)
	found, err = h.Bookings().Get(t.Context(), found.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, found.Status)
	owner.Set("token", "x")
	require.Equal(t, http.StatusNotFound, c.form("/cancel", owner).status)
	require.Equal(t, http.StatusNotFound, c.get("/cancel?"+owner.Encode()).status)
}

// ownerOf returns what the form of the page sends.
func ownerOf(t *testing.T, page string) url.Values {
	t.Helper()
	return url.Values{"booking": {first(t, regexp.MustCompile(`name="booking" value="([^"]+)"`), page)},
		"token": {first(t, regexp.MustCompile(`name="token" value="([^"]+)"`), page)}}
}

func query(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	return u.Query()
}

func TestPagesLeave_GiveItUp(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	page := c.get("/?from=" + soon()).body
	start := first(t, slotInput, page)
	pay := c.bookFrom(page, 0)
	leave := c.leavePage(pay)
	shown := func() string { return html.UnescapeString(c.get("/?from=" + soon()).body) }
	require.NotContains(t, shown(), `value="`+start+`"`)
	a := c.form("/cancel", ownerOf(t, c.get(leave).body))
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	ended := c.get(a.header.Get("Location")).body
	require.Contains(t, ended, "This booking was cancelled")
	require.Contains(t, ended, "Nothing was charged.")
	require.Contains(t, shown(), `value="`+start+`"`, "the time is free at once")
	s, err := h.StripeFake().Session(pay[strings.LastIndex(pay, "/")+1:])
	require.NoError(t, err)
	require.EqualValues(t, "expired", s.Status)
	require.Equal(t, http.StatusSeeOther, c.get(leave).status, "to the booking's page")
}

// The times that a visitor holds are shown as the visitor's own, only to that visitor.
func TestPagesLeave_OwnHolds(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	page := c.get("/?from=" + soon()).body
	start := first(t, slotInput, page)
	leave := c.leavePage(c.bookFrom(page, 0))
	other := first(t, otherTimes, c.get(leave).body)
	page = c.get(other + "&from=" + soon()).body
	require.Contains(t, page, "Yours, not paid yet")
	require.Contains(t, c.get(first(t, leaveLink, page)).body, "<h1>You have not paid yet</h1>")
	week := regexp.MustCompile(`rel="next" href="([^"]+)"`)
	require.Contains(t, c.get(first(t, week, page)).body, "Yours, not paid yet", "on other pages too")

	// The own time again, in a stale tab with another key.
	form := filled(start, "another")
	form.Set("chain", first(t, chainInput, page))
	taken := c.form("/book", form)
	require.Equal(t, http.StatusConflict, taken.status)
	require.Contains(t, taken.body, "You already hold this time, see below.")
	require.Contains(t, html.UnescapeString(taken.body), first(t, leaveLink, page))

	// Two more from that page, then too many: each has its link.
	c.bookFrom(page, 0)
	c.bookFrom(c.get(other+"&from="+soon()).body, 0)
	again := c.get(other + "&from=" + soon()).body
	require.Len(t, leaveLink.FindAllString(again, -1), 3)
	form = filled(html.UnescapeString(first(t, slotInput, again)), "fourth")
	form.Set("chain", first(t, chainInput, again))
	limited := c.form("/book", form)
	require.Equal(t, http.StatusTooManyRequests, limited.status)
	require.Contains(t, limited.body, "You already have 3 unpaid bookings.")
	require.Len(t, leaveLink.FindAllString(limited.body, -1), 3)

	// The address alone shows nothing.
	stranger := h.client().form("/book", filled(start, "stranger"))
	require.Equal(t, http.StatusTooManyRequests, stranger.status)
	require.NotContains(t, stranger.body, "Yours, not paid yet")
	require.NotContains(t, stranger.body, "token=")
	form = filled(start, "stranger")
	form.Set("chain", "AAAAAAAAAAAAAAAAAAAAAAAAAA")
	require.NotContains(t, h.client().form("/book", form).body, "token=")
}

func TestPages_French(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	french := []string{"Accept-Language", "de, fr-CH;q=0.9, en;q=0.1"}
	page := c.get("/?from="+soon(), french...)
	require.Equal(t, "fr", page.header.Get("Content-Language"))
	require.Contains(t, page.header.Values("Vary"), "Accept-Language")
	require.Contains(t, page.body, `<html lang="fr">`)
	require.Contains(t, page.body, "Payer 25,00\u00a0€")
	require.Contains(t, page.body, "Vous pouvez annuler")
	form := filled(first(t, slotInput, page.body), first(t, keyInput, page.body))
	send := func() answer {
		return c.do(http.MethodPost, "/book", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()),
			french...)
	}
	a := send()
	require.Equal(t, http.StatusSeeOther, a.status, a.body)
	pay := a.header.Get("Location")
	s, err := h.StripeFake().Session(pay[strings.LastIndex(pay, "/")+1:])
	require.NoError(t, err)
	require.Equal(t, "fr", s.Parameters.Get("locale"))
	require.Contains(t, s.Parameters.Get("custom_text[submit][message]"), "Vous pouvez annuler sans frais jusqu’au ")
	require.Regexp(t, `, de \d\d:\d\d à \d\d:\d\d \(Europe/Paris\)\. Réservation [2-9A-Z]{8}$`,
		s.LineItems[0].Description)
	b, err := h.Bookings().Get(t.Context(), query(t, s.CancelURL).Get("booking"))
	require.NoError(t, err)
	require.Equal(t, "fr", b.Language)
	// A browser that asks for neither language gets that of the booking.
	require.Contains(t, c.get(c.leavePage(pay), "Accept-Language", "de").body, "Vous n’avez pas encore payé")
	require.Contains(t, c.get(c.leavePage(pay), "Accept-Language", "en").body, "You have not paid yet")
	form.Set("email", "x")
	a = send()
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "n’est pas une adresse e-mail")
}
