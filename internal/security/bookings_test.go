//go:build linux

package security

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// eventually waits for what happens by itself.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, time.Minute, 10*time.Millisecond, what)
}

// shown is a booking as its owner sees it.
type shown struct {
	ID, Status, Currency, Email, Start string
	Amount                             int64
	Payment                            struct{ Status string }
}

func (c *client) look(b created) (s shown) {
	c.t.Helper()
	a := c.get("/api/bookings/" + b.ID + "?token=" + b.Token)
	require.Equal(c.t, http.StatusOK, a.status, a.brief())
	a.into(c.t, &s)
	return s
}

// What a client would like to set, by every name it may have.
var wishful = m{
	"price": 1, "amount": 1, "total": 0, "currency": "jpy", "unit_amount": 1, "refund": 100000, "status": "confirmed", "paid": true, "payment": m{"status": "paid"}, "owner": "eve",
	"owner_id": "1", "userId": "1", "user": m{"role": "ADMIN"}, "role": "ADMIN", "id": "01936f4e-0000-7000-8000-000000000001", "token": "x", "actor": "user:admin@example.com",
	"expiresAt": "2099-01-01T00:00:00Z", "stripeSessionId": "cs_1", "successUrl": "https://evil.example/", "discount": 100, "coupon": "FREE", "byCustomer": false, "client": "1.2.3.4",
}

func clientSent(t *testing.T, c *cluster) {
	room := c.addRoom(t)
	eve, ada := c.stranger(t), c.stranger(t)
	starts := eve.slots(room)
	adas, eves := c.someone(), c.someone()
	hers := ada.book(room, starts[0], adas)
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
	// JSON with such a field is refused whole.
	for name, value := range wishful {
		for _, path := range []string{"/api/bookings", "/create-checkout-session"} {
			body := wish(room, starts[1], eves)
			body[name] = value
			a := eve.post(path, body)
			require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", name, a.brief())
			require.Contains(t, a.body, fmt.Sprintf("%q", name))
		}
	}
	require.Contains(t, eve.slots(room), starts[1])
	// In a query it is not looked at, nor in a form.
	query := url.Values{}
	for name, value := range wishful {
		query.Set(name, fmt.Sprint(value))
	}
	a := eve.post("/api/bookings?"+query.Encode(), wish(room, starts[1], eves))
	require.Equal(t, http.StatusCreated, a.status, a.brief())
	var b created
	a.into(t, &b)
	c.know("the token of a booking", b.Token)
	asItIs(b)
	fields := m{"resource": room, "start": starts[2], "firstName": "Eve", "lastName": "Eve", "email": "eve2@example.com", "party": 1, "key": "k"}
	for name, value := range wishful {
		fields[name] = value
	}
	a = eve.form("/book?"+query.Encode(), fields)
	require.Equal(t, http.StatusSeeOther, a.status, a.brief())
	var found struct{ Items []shown }
	c.member(t, "READONLY").get("/api/bookings?customer=eve2@example.com").into(t, &found)
	require.Len(t, found.Items, 1)
	require.Equal(t, []any{int64(2500), "eur", "pending"}, []any{found.Items[0].Amount, found.Items[0].Currency, found.Items[0].Status})
	for _, session := range c.stripe.Sessions() {
		if session.CustomerEmail == "eve2@example.com" {
			require.Equal(t, int64(2500), session.AmountTotal)
		}
	}

	// Nobody becomes the owner of another's booking, by saying so, by a token of their own, or by none.
	for _, token := range []string{b.Token, "", hers.ID, "x"} {
		for _, act := range []string{"/cancel", "/reschedule"} {
			path := "/api/bookings/" + hers.ID + act
			sent := m{"start": starts[3], "reason": "mine"}
			if act == "/cancel" {
				delete(sent, "start")
			}
			for name, header := range map[string][]string{"query": nil, "bearer": {"Authorization", "Bearer " + token}} {
				asked := path + "?owner=eve&byOwner=true&email=" + adas
				if name == "query" {
					asked += "&token=" + url.QueryEscape(token)
				}
				a := eve.post(asked, sent, header...)
				require.Contains(t, []int{http.StatusNotFound, http.StatusUnauthorized}, a.status, "%s with %q: %s", path, token, a.brief())
			}
		}
		for _, page := range []string{"/booking/cancel", "/booking/move"} {
			a := eve.form(page, m{"booking": hers.ID, "token": token, "start": starts[3], "owner": "eve", "email": adas})
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

func everySlot(t *testing.T, c *cluster) {
	room := c.addRoom(t)
	honest := c.stranger(t)
	starts := honest.slots(room)
	// grab asks for many slots at once, each from another host, and counts what it got.
	grab := func(n int, from, email func(int) string, first int) (held int) {
		t.Helper()
		answers := make([]answer, n)
		var all sync.WaitGroup
		for i := range n {
			browser := c.strangerAt(t, from(i)).at(c.hosts[i%3])
			all.Go(func() {
				if i%2 == 0 {
					answers[i] = browser.post("/api/bookings", wish(room, starts[first+i], email(i)))
					return
				}
				answers[i] = browser.form("/book", m{"resource": room, "start": starts[first+i], "firstName": "E", "lastName": "V", "email": email(i), "party": 1, "key": strconv.Itoa(i)})
			})
		}
		all.Wait()
		for i, a := range answers {
			if a.status == http.StatusCreated || a.status == http.StatusSeeOther {
				held++
				continue
			}
			require.Equal(t, http.StatusTooManyRequests, a.status, "%d: %s", i, a.brief())
			seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, seconds, 1)
			require.LessOrEqual(t, seconds, 3600)
		}
		return held
	}
	address := c.address()
	require.Equal(t, 3, grab(12, func(int) string { return c.address() }, func(i int) string { return []string{"greedy@example.com", "GREEDY@example.com"}[i%2] }, 0),
		"of one address of e-mail, from everywhere")
	require.Equal(t, perAddress, grab(perAddress+8, func(int) string { return address }, func(i int) string { return fmt.Sprintf("greedy%d@example.com", i) }, 12),
		"of one client, with many addresses of e-mail")
	require.Equal(t, "pending", honest.book(room, honest.slots(room)[0], "honest@example.com").Status, "others still can")
}

func successPage(t *testing.T, c *cluster) {
	room := c.addRoom(t)
	ada := c.stranger(t)
	b := ada.book(room, ada.slots(room)[0], c.someone())
	paid := "&payment_status=paid&status=complete&redirect_status=succeeded&payment_intent=pi_1&n=1"
	visit := func(want string) {
		t.Helper()
		for _, query := range []string{"?session_id=" + b.StripeSessionID, "?booking=" + b.ID + "&token=" + b.Token} {
			for _, more := range []string{"", paid} {
				a := ada.get("/success" + query + more)
				require.Equal(t, http.StatusOK, a.status, a.brief())
				require.Contains(t, a.body, want)
				for _, h := range c.hosts {
					require.Equal(t, http.StatusOK, ada.at(h).get("/success"+query+more).status)
				}
			}
		}
	}
	visit("Waiting for your payment")
	require.NoError(t, c.stripe.Decline(b.StripeSessionID))
	visit("Waiting for your payment")
	require.Equal(t, "pending", ada.look(b).Status)
	require.NotEqual(t, "paid", ada.look(b).Payment.Status)
	for _, query := range []string{"", "?session_id=cs_test_made_up", "?session_id=" + b.ID, "?booking=" + b.ID, "?booking=" + b.ID + "&token=x" + paid} {
		require.Equal(t, http.StatusNotFound, ada.get("/success"+query).status, query)
	}
	for _, verb := range []string{http.MethodPost, http.MethodPut} {
		require.Equal(t, http.StatusMethodNotAllowed, ada.do(verb, "/success?session_id="+b.StripeSessionID, "", "").status)
	}
	require.Equal(t, "pending", ada.look(b).Status)

	// It is what Stripe says that counts.
	_, err := c.stripe.Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	visit("Your booking is confirmed")
	require.Equal(t, "confirmed", ada.look(b).Status)
	require.Equal(t, "paid", ada.look(b).Payment.Status)
}
