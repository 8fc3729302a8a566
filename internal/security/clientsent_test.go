//go:build linux

package security

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// Fields that only the server may set, under every name that a client might try.
var wishful = m{
	"price": 1, "amount": 1, "total": 0, "currency": "jpy", "unit_amount": 1, "refund": 100000, "status": "confirmed",
	"paid": true, "payment": m{"status": "paid"}, "owner": "eve",
	"owner_id": "1", "userId": "1", "user": m{"role": "ADMIN"}, "role": "ADMIN",
	"id": "01936f4e-0000-7000-8000-000000000001", "token": "x", "actor": "user:admin@example.com",
	"expiresAt": "2099-01-01T00:00:00Z", "stripeSessionId": "cs_1", "successUrl": "https://evil.example/",
	"discount": 100, "coupon": "FREE", "byCustomer": false, "client": "1.2.3.4",
}

func clientSent(t *testing.T, c *cluster) {
	resource := c.addResource(t)
	eve, ada := c.stranger(t), c.stranger(t)
	starts := eve.slots(resource)
	adas, eves := c.someone(), c.someone()
	hers := ada.book(resource, starts[0], adas)
	asItIs := func(b created) {
		t.Helper()
		s := eve.look(b)
		require.Equal(t, "pending", s.Status)
		require.Equal(t, int64(2500), s.Amount)
		require.Equal(t, "eur", s.Currency)
		session, err := c.stripe.Session(b.StripeSessionID)
		require.NoError(t, err)
		require.Equal(t, int64(2500), session.AmountTotal)
		require.Equal(t, "eur", session.Currency)
	}
	// JSON is refused.
	for name, value := range wishful {
		for _, path := range []string{"/api/bookings", "/create-checkout-session"} {
			body := bookingRequest(resource, starts[1], eves)
			body[name] = value
			a := eve.post(path, body)
			require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", name, a.brief())
			require.Contains(t, a.body, fmt.Sprintf("%q", name))
		}
	}
	require.Contains(t, eve.slots(resource), starts[1])
	// In a query or a form they are ignored.
	query := url.Values{}
	for name, value := range wishful {
		query.Set(name, fmt.Sprint(value))
	}
	a := eve.post("/api/bookings?"+query.Encode(), bookingRequest(resource, starts[1], eves))
	require.Equal(t, http.StatusCreated, a.status, a.brief())
	var b created
	a.into(t, &b)
	c.know("the token of a booking", b.Token)
	asItIs(b)
	fields := m{"resource": resource, "start": starts[2], "firstName": "Eve", "lastName": "Eve",
		"email": "eve2@example.com", "party": 1, "key": "k"}
	for name, value := range wishful {
		fields[name] = value
	}
	a = eve.form("/book?"+query.Encode(), fields)
	require.Equal(t, http.StatusSeeOther, a.status, a.brief())
	var found struct{ Items []shown }
	c.member(t, "READONLY").get("/api/bookings?customer=eve2@example.com").into(t, &found)
	require.Len(t, found.Items, 1)
	require.Equal(t, []any{int64(2500), "eur", "pending"},
		[]any{found.Items[0].Amount, found.Items[0].Currency, found.Items[0].Status})
	for _, session := range c.stripe.Sessions() {
		if session.CustomerEmail == "eve2@example.com" {
			require.Equal(t, int64(2500), session.AmountTotal)
		}
	}

	// No such field, no other booking's token, and no missing token makes a client the
	// owner of a booking.
	for _, token := range []string{b.Token, "", hers.ID, "x"} {
		for _, act := range []string{"/cancel", "/reschedule"} {
			path := "/api/bookings/" + hers.ID + act
			sent := m{"start": starts[3], "reason": "mine"}
			if act == "/cancel" {
				delete(sent, "start")
			}
			for name, header := range map[string][]string{"query": nil,
				"bearer": {"Authorization", "Bearer " + token}} {
				asked := path + "?owner=eve&byOwner=true&email=" + adas
				if name == "query" {
					asked += "&token=" + url.QueryEscape(token)
				}
				a := eve.post(asked, sent, header...)
				require.Contains(t, []int{http.StatusNotFound, http.StatusUnauthorized}, a.status, "%s with %q: %s",
					path, token, a.brief())
			}
		}
		for _, page := range []string{"/booking/cancel", "/booking/move"} {
			a := eve.form(page, m{"booking": hers.ID, "token": token, "start": starts[3], "owner": "eve",
				"email": adas})
			require.Equal(t, http.StatusNotFound, a.status, a.brief())
		}
	}
	for _, field := range []string{"owner", "token", "email", "status", "refund", "amount", "byCustomer"} {
		a := eve.post("/api/bookings/"+b.ID+"/cancel?token="+b.Token, m{field: "x"})
		require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", field, a.brief())
	}
	asItIs(hers)
	require.Equal(t, adas, ada.look(hers).Email)
	require.Equal(t, eves, eve.look(b).Email)
}
