package main_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
)

var (
	slotInput = regexp.MustCompile(`name="start"[^>]* value="([^"]+)"`)
	keyInput  = regexp.MustCompile(`name="key" value="([^"]+)"`)
	refresh   = regexp.MustCompile(`http-equiv="refresh" content="1;url=([^"]+)"`)
)

// first finds what a pattern captures in a page.
func first(t *testing.T, pattern *regexp.Regexp, page string) string {
	t.Helper()
	found := pattern.FindStringSubmatch(page)
	require.NotNil(t, found, page)
	return html.UnescapeString(found[1])
}

// soon is a day whose slots do not begin while a test runs, in any time zone.
func soon() string { return time.Now().AddDate(0, 0, 2).Format(time.DateOnly) }

func (c *client) form(path string, values url.Values) answer {
	c.t.Helper()
	return c.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(values.Encode()),
		"Sec-Fetch-Site", "same-origin")
}

func filled(start, key string) url.Values {
	return url.Values{
		"resource": {"studio"}, "start": {start}, "key": {key}, "firstName": {"Ada"}, "lastName": {"Lovelace"},
		"email": {"ada@example.com"},
	}
}

func TestPages_BookPayConfirmed(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	page := c.get("/?from=" + soon())
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, "The Studio")
	require.Contains(t, page.body, "EUR 25.00")
	require.Contains(t, page.body, "Europe/Paris")
	require.Contains(t, page.body, "No money moves")
	start, key := first(t, slotInput, page.body), first(t, keyInput, page.body)

	sent := c.form("/book", filled(start, key))
	require.Equal(t, http.StatusSeeOther, sent.status, sent.body)
	pay := sent.header.Get("Location")
	require.Contains(t, pay, h.URL()+"/stripe/pay/cs_")
	require.Equal(t, pay, c.form("/book", filled(start, key)).header.Get("Location"), "a double click is one booking")
	require.Equal(t, 1, h.count("bookings"))
	session := pay[strings.LastIndex(pay, "/")+1:]

	// An unpaid return confirms nothing, and the page reloads itself a limited number of
	// times.
	waiting := c.get("/success?session_id=" + session)
	require.Equal(t, http.StatusOK, waiting.status)
	require.Contains(t, waiting.body, "Waiting for your payment")
	require.NotContains(t, waiting.body, "confirmed")
	next := first(t, refresh, waiting.body)
	require.Equal(t, "/success?n=1&session_id="+session, next)
	require.NotContains(t, c.get("/success?n=30&session_id="+session).body, "refresh")
	left := c.get("/cancel?booking=" + session)
	require.Contains(t, left.body, "Nothing was charged")

	paid := c.form(pay, url.Values{"action": {"pay"}})
	require.Equal(t, http.StatusSeeOther, paid.status, paid.body)
	back := c.get(paid.header.Get("Location"))
	require.Contains(t, back.body, "Your booking is confirmed")
	require.NotContains(t, back.body, "refresh")
	require.Contains(t, back.body, "EUR 25.00 (paid)")
	link := first(t, regexp.MustCompile(`class="keep" href="([^"]+)"`), back.body)
	require.Contains(t, c.get(link).body, "Your booking is confirmed", "the link shows it at any time")
}

func TestPagesBook_KeepsInput(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	h.addResource(booking.Resource{Slug: "boat", Name: "Boat", Capacity: 8,
		Price: booking.Money{Minor: 1200, Currency: "jpy"}})
	c := h.client()
	page := c.get("/?resource=boat&from=" + soon()).body
	require.Contains(t, page, "JPY 1200 per person")
	require.Contains(t, page, "8 left")
	start := first(t, slotInput, page)
	a := c.form("/book", url.Values{
		"resource": {"boat"}, "start": {start}, "firstName": {`<script>"x"`}, "lastName": {""}, "email": {"nope"},
		"party": {"9"}, "key": {"k"}, "phone": {"+49 30 \"x"}, "note": {"</textarea>\r\nat the gate"},
	})
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, `value="&lt;script&gt;&#34;x&#34;"`)
	require.NotContains(t, a.body, "<script")
	require.Contains(t, a.body, `value="nope"`)
	require.Contains(t, a.body, `value="`+strings.ReplaceAll(start, "+", "&#43;")+`" checked`)
	require.Contains(t, a.body, `value="&#43;49 30 &#34;x"`)
	require.Contains(t, a.body, "&lt;/textarea&gt;\r\nat the gate</textarea>")
	require.Equal(t, 4, strings.Count(a.body, `class="problem"`), "last name, e-mail, party, phone")
	require.Equal(t, 3, strings.Count(a.body, "aria-invalid"), "the party is chosen by links")

	for name, w := range map[string]struct {
		change url.Values
		want   string
	}{
		"no time":       {url.Values{"start": {""}}, "please choose a time"},
		"a broken time": {url.Values{"start": {"x"}}, "please choose a time"},
		"a broken head": {url.Values{"party": {"x"}}, "must be at least 1"},
	} {
		form := filled(start, "k")
		form.Set("resource", "boat")
		for field, values := range w.change {
			form[field] = values
		}
		a := c.form("/book", form)
		require.Equal(t, http.StatusBadRequest, a.status, name)
		require.Contains(t, a.body, w.want, name)
	}
	require.Equal(t, http.StatusBadRequest, c.form("/book", url.Values{"x": {strings.Repeat("x", 100_000)}}).status)
	require.Zero(t, h.count("bookings"))
}

func TestPagesBook_SlotTaken(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, bob := h.client(), h.client()
	start := first(t, slotInput, ada.get("/?from="+soon()).body)
	require.Equal(t, http.StatusSeeOther, ada.form("/book", filled(start, "ada")).status)
	a := bob.form("/book", filled(start, "bob"))
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "This time has just been booked")
	require.Contains(t, a.body, `value="ada@example.com"`)
	require.NotContains(t, a.body, `value="`+strings.ReplaceAll(start, "+", "&#43;")+`"`, "it is no longer offered")
	free := first(t, slotInput, a.body)
	require.Equal(t, http.StatusSeeOther, bob.form("/book", filled(free, "bob")).status,
		"another time under the same key is another booking")
	require.Equal(t, 2, h.count("bookings"))
}

func TestPagesBook_Week(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	later := regexp.MustCompile(`href="([^"]+)">Later`)
	page := c.get("/").body
	require.Equal(t, 7, strings.Count(page, "<fieldset>"), "a week")
	require.NotContains(t, page, "Earlier")
	next := c.get(first(t, later, page)).body
	require.Contains(t, next, "Earlier")
	require.NotEqual(t, first(t, slotInput, page), first(t, slotInput, next))
	// The horizon of the sample is 60 days.
	for range 20 {
		if !later.MatchString(page) {
			break
		}
		page = c.get(first(t, later, page)).body
	}
	require.NotRegexp(t, later, page)
	require.Equal(t, http.StatusOK, c.get("/?from=garbage").status)
	unknown := c.get("/?resource=nowhere")
	require.Equal(t, http.StatusNotFound, unknown.status)
	require.Contains(t, unknown.body, "This cannot be booked")
}

func TestPagesLogin_Session(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	away := c.get("/dashboard")
	require.Equal(t, http.StatusFound, away.status)
	require.Equal(t, "/login?next=/dashboard", away.header.Get("Location"))
	require.Equal(t, http.StatusOK, c.get("/login?next=/dashboard").status)

	a := c.form("/login", url.Values{"email": {adminEmail}, "password": {"wrong horse battery"}})
	require.Equal(t, http.StatusUnauthorized, a.status)
	require.Contains(t, a.body, "do not match")
	require.Contains(t, a.body, adminEmail)
	require.NotContains(t, a.body, "wrong horse")
	require.Equal(t, http.StatusBadRequest, c.form("/login", url.Values{}).status)
	cross := c.do(http.MethodPost, "/login", "application/x-www-form-urlencoded", strings.NewReader("email=x"),
		"Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, cross.status)

	for next, want := range map[string]string{
		"": "/dashboard", "/": "/dashboard", "/dashboard?x=1": "/dashboard?x=1", "//evil.example": "/dashboard",
		`/\evil.example`:       "/dashboard",
		"https://evil.example": "/dashboard", "javascript:alert(1)": "/dashboard", "/%2f%2fevil.example": "/dashboard",
	} {
		a := h.client().form("/login", url.Values{"email": {adminEmail}, "password": {adminPassword}, "next": {next}})
		require.Equal(t, http.StatusSeeOther, a.status)
		require.Equal(t, want, a.header.Get("Location"), next)
	}

	require.Equal(t, http.StatusSeeOther,
		c.form("/login", url.Values{"email": {adminEmail}, "password": {adminPassword}}).status)
	start := first(t, slotInput, c.get("/?from="+soon()).body)
	require.Equal(t, http.StatusSeeOther, c.form("/book", filled(start, "k")).status)
	_, err := h.StripeFake().Pay(t.Context(), h.StripeFake().Sessions()[0].ID)
	require.NoError(t, err)
	dashboard := c.get("/dashboard")
	require.Equal(t, http.StatusOK, dashboard.status)
	for _, want := range []string{"Ada Lovelace", "EUR 25.00", "confirmed", "checkout.session.completed", "processed",
		adminEmail} {
		require.Contains(t, dashboard.body, want)
	}
	require.Equal(t, "no-store", dashboard.header.Get("Cache-Control"))
	require.Equal(t, "/login", c.form("/logout", nil).header.Get("Location"))
	require.Equal(t, http.StatusFound, c.get("/dashboard").status)
}

func TestPages_NothingInline(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.admin()
	inline := regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:`)
	for _, path := range []string{"/", "/cancel", "/success", "/login", "/dashboard"} {
		a := c.get(path)
		require.NotRegexp(t, inline, a.body, path)
		require.NotContains(t, a.header.Get("Content-Security-Policy"), "unsafe", path)
		require.Contains(t, a.header.Get("Content-Type"), "text/html", path)
	}
	style := c.get("/static/style.css")
	require.Equal(t, "public, max-age=300", style.header.Get("Cache-Control"))
	require.Contains(t, style.header.Get("Content-Type"), "text/css")
}

// The page keeps the input, and the slot is free again.
func TestPagesBook_StripeUnavailable(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{
		"STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_12345678",
		"STRIPE_API_BASE": "http://127.0.0.1:1",
	})
	c := h.client()
	page := c.get("/?from=" + soon()).body
	require.NotContains(t, page, "stand-in")
	start, key := first(t, slotInput, page), first(t, keyInput, page)
	a := c.form("/book", filled(start, key))
	require.Equal(t, http.StatusServiceUnavailable, a.status)
	require.Contains(t, a.body, "Nothing was charged and nothing is booked")
	require.Contains(t, a.body, `value="ada@example.com"`)
	require.NotEqual(t, key, first(t, keyInput, a.body))
	require.Equal(t, start, first(t, slotInput, c.get("/?from="+soon()).body))
}

// The page tells that the hold has ended, and the form can be sent again.
func TestPagesBook_AfterHoldExpired(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	c := h.client()
	page := c.get("/?from=" + soon()).body
	form := filled(first(t, slotInput, page), first(t, keyInput, page))
	require.Equal(t, http.StatusSeeOther, c.form("/book", form).status)
	_, err := h.db.Exec(`UPDATE booking_platform.bookings SET status = 'expired'`)
	require.NoError(t, err)

	a := c.form("/book", form)
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "This time is no longer kept for you")
	form.Set("key", first(t, keyInput, a.body))
	require.Equal(t, http.StatusSeeOther, c.form("/book", form).status)

	// The slot is not listed any more.
	_, err = h.db.Exec(`UPDATE booking_platform.resources SET active = false WHERE slug = 'studio'`)
	require.NoError(t, err)
	form.Set("key", "another")
	require.Contains(t, c.form("/book", form).body, "Nothing can be booked yet")
}
