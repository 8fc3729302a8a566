package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/stretchr/testify/require"
)

// loggingIn logs staff in with right and wrong passwords, and with one in the wrong
// field; it returns an ADMIN.
func (f *flow) loggingIn() *http.Client {
	admin := f.visitor()
	login := func(who *http.Client, want int, email, password string) answer {
		body, err := json.Marshal(map[string]string{"email": email, "password": password})
		require.NoError(f.t, err)
		return f.post(who, want, "/auth/login", string(body), "X-Forwarded-For", f.plant("no address", ""))
	}
	login(admin, http.StatusOK, "admin@example.com", f.env["ADMIN_PASSWORD"])
	at, err := url.Parse(f.host.base)
	require.NoError(f.t, err)
	require.Len(f.t, admin.Jar.Cookies(at), 2)
	for _, c := range admin.Jar.Cookies(at) {
		f.keep("cookie "+c.Name, c.Value)
	}
	f.get(admin, http.StatusOK, "/auth/me")
	f.get(admin, http.StatusOK, "/dashboard")

	other := f.visitor()
	login(other, http.StatusUnauthorized, "admin@example.com", f.password("wrong password"))
	login(other, http.StatusUnauthorized, f.password("password for an address"), "x")
	login(other, http.StatusUnauthorized, "unknown@example.com", f.password("password of an unknown account"))
	f.post(other, http.StatusBadRequest, "/auth/login",
		`{"email":"admin@example.com","password":["`+f.plant("password in a list", "")+`"]}`)
	f.post(other, http.StatusBadRequest, "/auth/login",
		`{"email":"admin@example.com","`+f.plant("password as a name", "")+`":""}`)
	f.post(other, http.StatusBadRequest, "/auth/login", `{"password":"`+f.plant("password in bad JSON", ""))
	f.post(other, http.StatusUnsupportedMediaType, "/auth/login",
		"password="+f.plant("password in a form for JSON", ""))
	form := func(email, password string) string {
		return url.Values{"email": {email}, "password": {password}}.Encode()
	}
	f.post(other, http.StatusUnauthorized, "/login",
		form("admin@example.com", f.password("wrong password on the page")))
	f.post(other, http.StatusUnauthorized, "/login", form(f.password("password for an address on the page"), "x"))
	f.post(other, http.StatusBadRequest, "/login?"+form("admin@example.com", f.password("password in the query")),
		"x=y")
	f.get(other, http.StatusUnauthorized, "/auth/me", "Cookie",
		"booking_session="+f.plant("forged session", "")+"; booking_device="+f.plant("forged device", ""))
	f.get(other, http.StatusUnauthorized, "/auth/me", "Authorization",
		"Basic "+base64.StdEncoding.EncodeToString([]byte("admin:"+f.password("basic password"))))
	f.get(other, http.StatusFound, "/dashboard?secret="+f.plant("query of a page that needs a session", ""))

	ops := f.password("password of ops")
	require.Contains(f.t, f.does(ops+"\n", "user", "add", "--role", "OPS", "ops@example.com"), "OPS")
	login(other, http.StatusOK, "ops@example.com", ops)
	again := f.password("new password of ops")
	require.Contains(f.t, f.does(again+"\n", "user", "passwd", "ops@example.com"), "active")
	f.does(f.plant("argument", ""), "user", "add", "--role", "OPS", "ops@example.com")
	f.get(other, http.StatusUnauthorized, "/auth/me")
	login(other, http.StatusOK, "ops@example.com", again)
	f.post(other, http.StatusOK, "/auth/logout", "")
	return admin
}

// customers book, pay, look, move and cancel by their links, and calendars read their
// feed; it returns a booking that is paid and stays.
func (f *flow) customers(admin *http.Client) booked {
	who := f.visitor()
	f.post(who, http.StatusBadRequest, "/api/bookings", `{"email":"`+f.plant("address in bad JSON", ""))
	f.post(who, http.StatusBadRequest, "/api/bookings",
		`{"email":7,"`+f.plant("unknown field", "")+`":"`+f.plant("value of an unknown field", "")+`"}`)
	f.post(who, http.StatusForbidden, "/book", "email="+f.plant("address from elsewhere", ""), "Origin",
		"https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	paid, moved := f.book(), f.book()
	f.payFor(paid.created)
	f.payFor(moved.created)
	eventually(f.t, "paid", func(context.Context) bool {
		return strings.Contains(f.get(who, http.StatusOK, "/api/bookings/"+paid.ID, "Authorization",
			"Bearer "+paid.Token).body, "confirmed")
	})
	f.get(who, http.StatusOK, "/success?session_id="+paid.StripeSessionID)
	f.get(who, http.StatusNotFound, "/success?session_id="+f.plant("foreign session", "cs_test_"))
	f.get(who, http.StatusNotFound, "/success%3Fsession_id="+paid.StripeSessionID)
	for _, page := range []string{"/success", "/booking/cancel", "/booking/move"} {
		f.get(who, http.StatusOK, page+"?"+moved.query())
		f.get(who, http.StatusNotFound, page+"?booking="+moved.ID+"&token="+f.plant("wrong token", ""))
		// What a mail program has made of the link.
		f.get(who, http.StatusNotFound, page+url.PathEscape("?"+moved.query()))
		f.get(who, http.StatusNotFound, page+"&"+moved.query())
	}
	f.get(who, http.StatusOK, "/api/bookings/"+moved.ID+"?token="+moved.Token)
	f.get(who, http.StatusOK, "/api/bookings/"+moved.ID+"/calendar.ics?token="+moved.Token)
	f.get(who, http.StatusNotFound, "/api/bookings/"+moved.ID, "Authorization", "Bearer "+f.plant("wrong bearer", ""))
	start := newCustomer(f.t, f.host.base).firstSlot()
	f.post(who, http.StatusOK, "/api/bookings/"+moved.ID+"/reschedule", `{"start":"`+start+`"}`, "Authorization",
		"Bearer "+moved.Token)
	var link struct{ Token string }
	require.NoError(f.t,
		json.Unmarshal([]byte(f.post(admin, http.StatusOK, "/api/bookings/"+moved.ID+"/renew-link", "").body), &link))
	f.keep("renewed token", link.Token)
	f.get(who, http.StatusNotFound, "/success?"+moved.query())
	moved.Token = link.Token
	f.post(who, http.StatusSeeOther, "/booking/cancel", moved.query())
	f.post(who, http.StatusOK, "/api/bookings/"+moved.ID+"/cancel", `{"reason":"`+f.plant("reason", "")+`"}`,
		"Authorization", "Bearer "+moved.Token)

	var feed struct{ URL string }
	require.NoError(f.t,
		json.Unmarshal([]byte(f.post(admin, http.StatusCreated, "/api/resources/studio/feeds", "").body), &feed))
	_, file, _ := strings.Cut(feed.URL, "/calendar/")
	f.keep("token of a feed", strings.TrimSuffix(file, ".ics"))
	f.get(who, http.StatusOK, "/calendar/"+file)
	for _, path := range []string{"//calendar/", "/Calendar/", "/CALENDAR/", "/calendar%2F", "/webcal://host/calendar/",
		"/calendar/x/"} {
		f.ask(who, http.MethodGet, path+file, "")
	}
	f.get(who, http.StatusOK, "/calendar/"+file+"?"+f.plant("query of a feed", ""))
	require.Equal(f.t, http.StatusOK, f.ask(admin, http.MethodDelete, "/api/resources/studio/feeds", "").status)
	f.get(who, http.StatusNotFound, "/calendar/"+file)
	return paid
}
