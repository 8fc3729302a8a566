//go:build linux

package security

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (c *cluster) someone() string { return fmt.Sprintf("someone%04d@example.com", c.serial.Add(1)) }

type created struct{ ID, URL, StripeSessionID, Status, Token string }

func bookingRequest(resource, start, email string) m {
	return m{"resource": resource, "start": start, "firstName": "Ada", "lastName": "Lovelace", "email": email}
}

func (c *client) slots(resource string) (starts []string) {
	c.t.Helper()
	var free struct{ Items []struct{ Start string } }
	from := time.Now().AddDate(0, 0, 3).Format(time.DateOnly)
	c.get("/api/resources/"+resource+"/availability?from="+from).into(c.t, &free)
	for _, s := range free.Items {
		starts = append(starts, s.Start)
	}
	require.NotEmpty(c.t, starts)
	return starts
}

// book holds a slot.
func (c *client) book(resource, start, email string) (b created) {
	c.t.Helper()
	a := c.post("/api/bookings", bookingRequest(resource, start, email))
	require.Equal(c.t, http.StatusCreated, a.status, a.brief())
	a.into(c.t, &b)
	c.know("the token of a booking", b.Token)
	return b
}

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

func everySlot(t *testing.T, c *cluster) {
	resource := c.addResource(t)
	honest := c.stranger(t)
	starts := honest.slots(resource)
	// grab requests many slots at once, each from another host, and counts successes.
	grab := func(n int, from, email func(int) string, first int) (held int) {
		t.Helper()
		answers := make([]answer, n)
		var all sync.WaitGroup
		for i := range n {
			browser := c.strangerAt(t, from(i)).at(c.hosts[i%3])
			all.Go(func() {
				if i%2 == 0 {
					answers[i] = browser.post("/api/bookings", bookingRequest(resource, starts[first+i], email(i)))
					return
				}
				answers[i] = browser.form("/book", m{"resource": resource, "start": starts[first+i], "firstName": "E",
					"lastName": "V", "email": email(i), "party": 1, "key": strconv.Itoa(i)})
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
	address, other := c.address(), c.address()
	greedy := func(i int) string { return []string{"greedy@example.com", "GREEDY@example.com"}[i%2] }
	require.Equal(t, 3, grab(12, func(int) string { return other }, greedy, 0),
		"of one address of e-mail, from one network")
	// M21: another network's holds in a customer's e-mail address do not lock the
	// customer out.
	require.Equal(t, 1, grab(1, func(int) string { return c.address() }, greedy, 30),
		"of the same address of e-mail, from another network")
	require.Equal(t, perAddress, grab(perAddress+8, func(int) string { return address },
		func(i int) string { return fmt.Sprintf("greedy%d@example.com", i) }, 12),
		"of one client, with many addresses of e-mail")
	require.Equal(t, "pending", honest.book(resource, honest.slots(resource)[0], "honest@example.com").Status,
		"others still can")
}

func successPage(t *testing.T, c *cluster) {
	resource := c.addResource(t)
	ada := c.stranger(t)
	b := ada.book(resource, ada.slots(resource)[0], c.someone())
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
	for _, query := range []string{"", "?session_id=cs_test_made_up", "?session_id=" + b.ID, "?booking=" + b.ID,
		"?booking=" + b.ID + "&token=x" + paid} {
		require.Equal(t, http.StatusNotFound, ada.get("/success"+query).status, query)
	}
	for _, verb := range []string{http.MethodPost, http.MethodPut} {
		require.Equal(t, http.StatusMethodNotAllowed,
			ada.do(verb, "/success?session_id="+b.StripeSessionID, "", "").status)
	}
	require.Equal(t, "pending", ada.look(b).Status)

	// Only Stripe's answer decides.
	_, err := c.stripe.Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	// A page reads a payment at Stripe once in five seconds.
	require.Eventually(t, func() bool {
		return strings.Contains(ada.get("/success?session_id="+b.StripeSessionID).body, "Your booking is confirmed")
	}, time.Minute, 200*time.Millisecond)
	visit("Your booking is confirmed")
	require.Equal(t, "confirmed", ada.look(b).Status)
	require.Equal(t, "paid", ada.look(b).Payment.Status)
}
