package main_test

import (
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
	keepLink   = regexp.MustCompile(`class="keep" href="([^"]+)"`)
	cancelLink = regexp.MustCompile(`href="(/booking/cancel\?[^"]+)"`)
	moveLink   = regexp.MustCompile(`href="(/booking/move\?[^"]+)"`)
)

// proof is the fields of a form that prove ownership.
func proof(b created) url.Values { return url.Values{"booking": {b.ID}, "token": {b.Token}} }

// From the page after Stripe and its link to the form.
func TestPagesChange_Cancel(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(0)), false)
	page := ada.get("/success?session_id=" + b.StripeSessionID)
	require.Contains(t, page.body, "Nothing has been paid yet: you may cancel free of charge.")
	link := first(t, cancelLink, page.body)
	ask := ada.get(link)
	require.Equal(t, http.StatusOK, ask.status)
	require.Contains(t, ask.body, "Cancel this booking?")
	require.Contains(t, ask.body, `<form method="post" action="/booking/cancel">`)
	require.Contains(t, ada.get(first(t, keepLink, page.body)).body, "Waiting for your payment",
		"a look at the question cancels nothing")

	done := ada.form("/booking/cancel", proof(b))
	require.Equal(t, http.StatusSeeOther, done.status, done.body)
	after := ada.get(done.header.Get("Location"))
	require.Contains(t, after.body, "This booking was cancelled")
	require.Contains(t, after.body, "Nothing was charged")
	require.NotRegexp(t, cancelLink, after.body)
	require.NotRegexp(t, moveLink, after.body)
	require.Equal(t, http.StatusSeeOther, ada.form("/booking/cancel", proof(b)).status, "once more does no harm")
	changes, err := h.Bookings().History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, "customer", changes[len(changes)-1].Actor)
}

// Stripe's page of a hold keeps the texts that it was made with.
func TestPagesChange_MovedHold(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	b := ada.book("studio", mustTime(t, ada.slot(0)), false)
	const note = "The payment page may still show the time before."
	own := "/cancel?" + proof(b).Encode()
	require.NotContains(t, ada.get(own).body, note)
	form := proof(b)
	form.Set("start", ada.slot(2))
	moved := ada.form("/booking/move", form)
	require.Equal(t, http.StatusSeeOther, moved.status, moved.body)
	for _, page := range []string{moved.header.Get("Location"), own} {
		require.Contains(t, ada.get(page).body, "You have moved this booking. "+note, page)
	}
}

func TestPagesChange_Terms(t *testing.T) {
	t.Parallel()
	h := startHost(t, many)
	h.policyResources()
	ada := h.client()
	for slug, w := range map[string]struct {
		words        string
		cancel, move bool
	}{
		"free":  {"You may cancel free of charge until ", true, true},
		"never": {"This booking can be neither cancelled nor moved.", false, false},
		"fee":   {"The whole price, EUR 25.00, is kept.", true, false},
		"half":  {"EUR 12.50 of EUR 25.00 is kept, and EUR 12.50 is refunded.", true, false},
	} {
		b := ada.book(slug, day(9), true)
		page := ada.get("/success?booking=" + b.ID + "&token=" + b.Token)
		require.Contains(t, page.body, w.words, slug)
		require.Equal(t, w.cancel, cancelLink.MatchString(page.body), slug)
		require.Equal(t, w.move, moveLink.MatchString(page.body), slug)
		ask := ada.get("/booking/cancel?" + proof(b).Encode())
		require.Equal(t, w.cancel, strings.Contains(ask.body, "<form"), slug)
		require.Equal(t, w.move, strings.Contains(ada.get("/booking/move?"+proof(b).Encode()).body, "<form"), slug)

		// A post is refused nevertheless.
		if !w.cancel {
			a := ada.form("/booking/cancel", proof(b))
			require.Equal(t, http.StatusConflict, a.status, slug)
			require.Contains(t, a.body, `role="alert"`)
		}
		if !w.move {
			form := proof(b)
			form.Set("start", day(12).Format(time.RFC3339))
			a := ada.form("/booking/move", form)
			require.Equal(t, http.StatusConflict, a.status, slug)
			require.Contains(t, a.body, "can no longer be moved")
		}
	}
	// The policy applies to unpaid bookings, too.
	h.addResource(booking.Resource{Slug: "talk", Name: "Talk", Policy: booking.Policy{Never: true}})
	talk := ada.book("talk", day(9), false)
	a := ada.form("/booking/cancel", proof(talk))
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "this booking can no longer be cancelled")

	// Times are in the zone of the resource.
	h.addResource(booking.Resource{Slug: "visit", Name: "Visit", TimeZone: "Asia/Kathmandu",
		Policy: booking.Policy{FreeUntil: 2 * time.Hour, ClosedFrom: 2 * time.Hour}})
	start := day(9).Add(15 * time.Minute)
	b := ada.book("visit", start, false)
	require.Contains(t, ada.get("/success?booking="+b.ID+"&token="+b.Token).body,
		start.Add(225*time.Minute).Format("You may cancel until Monday, 2 January 2006, 15:04 "))
}

func TestPagesChange_Move(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada := h.client()
	start := mustTime(t, ada.slot(0))
	b := ada.book("studio", start, true)
	link := first(t, moveLink, ada.get("/success?booking="+b.ID+"&token="+b.Token).body)
	page := ada.get(link + "&from=" + soon())
	require.Equal(t, http.StatusOK, page.status)
	require.Contains(t, page.body, "stays EUR 25.00")
	require.Contains(t, page.body, `<form method="post" action="/booking/move">`)
	later := first(t, regexp.MustCompile(`rel="next" href="([^"]+)"`), page.body)
	require.Equal(t, http.StatusOK, ada.get(later).status)
	require.NotEqual(t, page.body, ada.get(later).body, "another week")
	to := first(t, slotInput, page.body)
	require.False(t, start.Equal(mustTime(t, to)))

	form := proof(b)
	form.Set("from", soon())
	a := ada.form("/booking/move", form)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "please choose a time")
	form.Set("start", start.Add(time.Minute).Format(time.RFC3339))
	a = ada.form("/booking/move", form)
	require.Equal(t, http.StatusBadRequest, a.status)
	require.Contains(t, a.body, "is not the start of a slot")
	other := h.client().book("studio", mustTime(t, to), false)
	form.Set("start", to)
	a = ada.form("/booking/move", form)
	require.Equal(t, http.StatusConflict, a.status)
	require.Contains(t, a.body, "This time has just been booked")
	require.Equal(t, http.StatusOK, ada.act(other, "cancel", nil).status)

	done := ada.form("/booking/move", form)
	require.Equal(t, http.StatusSeeOther, done.status, done.body)
	after := ada.get(done.header.Get("Location"))
	require.Contains(t, after.body, "<h1>Your booking was moved</h1>")
	require.Contains(t, after.body, "Your booking is confirmed")
	require.Contains(t, after.body, mustTime(t, to).Format("Monday, 2 January 2006, 15:04"))
	require.True(t, start.Equal(mustTime(t, ada.slot(0))), "the old time is free again")
}

// Without the token, or from another site, nothing is shown or changed; nothing is
// inline.
func TestPagesChange_OwnerOnly(t *testing.T) {
	t.Parallel()
	h := startHost(t, nil)
	ada, eve := h.client(), h.client()
	hers := ada.book("studio", mustTime(t, ada.slot(0)), false)
	other := eve.book("studio", mustTime(t, ada.slot(0)), false)
	for _, path := range []string{"/booking/cancel", "/booking/move"} {
		for _, token := range []string{other.Token, "", "x", "\x00"} {
			form := url.Values{"booking": {hers.ID}, "token": {token}, "start": {ada.slot(0)}}
			require.Equal(t, http.StatusNotFound, eve.get(path+"?"+form.Encode()).status)
			require.Equal(t, http.StatusNotFound, eve.form(path, form).status)
			// A link changes nothing, and a form ignores the query.
			require.Equal(t, http.StatusNotFound, eve.form(path+"?"+proof(hers).Encode(), form).status)
		}
		a := eve.do(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(proof(hers).Encode()),
			"Sec-Fetch-Site", "cross-site")
		require.Equal(t, http.StatusForbidden, a.status)
		require.Equal(t, http.StatusBadRequest, eve.form(path, url.Values{"x": {strings.Repeat("x", 100_000)}}).status)
		page := ada.get(path + "?" + proof(hers).Encode())
		require.Equal(t, http.StatusOK, page.status)
		require.NotRegexp(t, `(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:`, page.body)
		require.Equal(t, "no-store", page.header.Get("Cache-Control"))
		require.NotContains(t, page.header.Get("Content-Security-Policy"), "unsafe")
	}
	require.Equal(t, "pending", ada.get("/api/bookings/"+hers.ID+"?token="+hers.Token).changed(t).Status)
	require.NotContains(t, h.log.String(), hers.Token)
}
