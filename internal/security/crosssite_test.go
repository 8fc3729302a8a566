//go:build linux

package security

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

var (
	route    = regexp.MustCompile(`\((?:routes, )?(?:http\.Method|")(\w+)"?, "(/[^"]*)"`)
	variable = regexp.MustCompile(`\{[^}]*\}`)
)

// changing returns the routes that change data, such as "POST /book", from the source, so
// that new ones are included.
func changing(t *testing.T) (routes []string) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../../cmd/host/*.go", "../../api/*.go", "../../pages/*.go"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, r := range route.FindAllStringSubmatch(string(source), -1) {
			switch verb := strings.ToUpper(r[1]); verb {
			case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
				routes = append(routes, verb+" "+r[2])
			}
		}
	}
	require.Subset(t, routes, []string{
		"POST /webhook", "POST /login", "POST /logout", "POST /book", "POST /booking/cancel", "POST /booking/move",
		"POST /auth/login", "POST /auth/logout",
		"POST /api/bookings", "POST /create-checkout-session", "POST /api/bookings/{id}/cancel",
		"POST /api/bookings/{id}/reschedule",
		"POST /api/bookings/{id}/renew-link", "POST /api/resources/{resource}/feeds",
		"DELETE /api/resources/{resource}/feeds",
	})
	return routes
}

// Newer browsers send Sec-Fetch-Site, others Origin.
var elsewhere = map[string][]string{
	"another site":           {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
	"a sibling":              {"Sec-Fetch-Site", "same-site", "Origin", "https://blog.example.com"},
	"an old browser":         {"Origin", "https://evil.example"},
	"an old browser, hidden": {"Origin", "null"},
	"a name that begins so":  {"Origin", "https://booking.example.com.evil.example"},
	"another port":           {"Origin", "https://booking.example.com:8443"},
}

var ours = map[string][]string{
	"our page":                   {"Sec-Fetch-Site", "same-origin", "Origin", public},
	"our page in an old browser": {"Origin", public},
	"no browser":                 nil,
}

func crossSite(t *testing.T, c *cluster) {
	ops := c.member(t, "ADMIN")
	resource := c.addResource(t)
	customer := c.stranger(t)
	starts := customer.slots(resource)
	b := customer.book(resource, starts[0], c.someone())
	body := func(kind string) (contentType, text string) {
		fields := bookingRequest(resource, starts[1], "eve@example.com")
		if kind == "JSON" {
			return "application/json",
				fmt.Sprintf(`{"resource":%q,"start":%q,"firstName":"Eve","lastName":"Eve","email":"eve@example.com"}`,
					resource, starts[1])
		}
		return kind, fmt.Sprintf("resource=%s&start=%s&firstName=Eve&lastName=Eve&email=eve@example.com&party=1&key=k&booking=%s&token=%s", fields["resource"], starts[1], b.ID, b.Token)
	}
	for _, name := range changing(t) {
		verb, path, _ := strings.Cut(name, " ")
		if path == "/webhook" {
			continue
		}
		path = variable.ReplaceAllStringFunc(path,
			func(name string) string { return map[string]string{"{id}": b.ID, "{resource}": resource}[name] })
		for _, h := range []string{"", "text/plain", "JSON", "application/x-www-form-urlencoded"} {
			contentType, text := body(h)
			for from, header := range elsewhere {
				a := ops.do(verb, path, contentType, text, append(header, "Authorization", "Bearer "+b.Token)...)
				require.Equal(t, http.StatusForbidden, a.status, "%s from %s as %q: %s", name, from, h, a.brief())
				require.Contains(t, a.body, `"cross_origin"`, "%s from %s", name, from)
				require.Empty(t, a.cookies)
			}
		}
		// Refusals of these have other reasons.
		for from, header := range ours {
			a := c.stranger(t).do(verb, path, "application/json", "{", header...)
			require.NotContains(t, a.body, "cross_origin", "%s from %s", name, from)
		}
	}
	require.Equal(t, everywhere, ops.onEvery(), "no user was logged out")
	require.Contains(t, customer.slots(resource), starts[1], "nothing was booked")
	var now struct{ Status, Start string }
	customer.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &now)
	require.Equal(t, "pending", now.Status)
	require.Equal(t, starts[0], now.Start)
}

func webhookExempt(t *testing.T, c *cluster) {
	payload := []byte(`{"id":"evt_cross","object":"event","type":"customer.created","created":1700000000,"data":{"object":{"id":"cus_1","object":"customer"}}}`)
	signature := stripetest.Sign(payload, webhookSecret, time.Now())
	for from, header := range elsewhere {
		a := c.stranger(t).do(http.MethodPost, "/webhook", "application/json", string(payload),
			append(header, "Stripe-Signature", signature)...)
		require.Equal(t, http.StatusOK, a.status, "%s: %s", from, a.brief())
		// Only its signature decides.
		a = c.stranger(t).do(http.MethodPost, "/webhook", "application/json", string(payload),
			append(header, "Stripe-Signature", "t=1,v1=00")...)
		require.Equal(t, http.StatusBadRequest, a.status, "%s: %s", from, a.brief())
		// It is the only exempt route.
		a = c.stranger(t).do(http.MethodPost, "/webhook/", "application/json", string(payload), header...)
		require.Equal(t, http.StatusForbidden, a.status, "%s: %s", from, a.brief())
	}
}
