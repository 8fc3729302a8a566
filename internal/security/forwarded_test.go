//go:build linux

package security

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// loggedFor returns the client address of a request in the access log.
func (c *cluster) loggedFor(t *testing.T, requestID string) string {
	t.Helper()
	for _, h := range c.hosts {
		for line := range strings.Lines(h.log.String()) {
			var entry struct {
				Msg       string `json:"msg"`
				ClientIP  string `json:"client_ip"`
				RequestID string `json:"request_id"`
			}
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "request" && entry.RequestID == requestID {
				return entry.ClientIP
			}
		}
	}
	return ""
}

func forwardedFor(t *testing.T, c *cluster) {
	seen := func(who *client, forwarded ...string) string {
		id := fmt.Sprintf("forwarded-%04d", c.serial.Add(1))
		header := []string{"X-Request-Id", id, "Forwarded", "for=203.0.113.9", "X-Real-Ip", "203.0.113.9",
			"True-Client-Ip", "203.0.113.9", "Cf-Connecting-Ip", "203.0.113.9"}
		for _, f := range forwarded {
			header = append(header, "X-Forwarded-For", f)
		}
		require.Equal(t, http.StatusOK, who.get("/api/resources", header...).status)
		var address string
		// The line is written after the answer.
		eventually(t, "the request is in a log", func() bool { address = c.loggedFor(t, id); return address != "" })
		return address
	}
	visitor := c.stranger(t)
	proxy := c.strangerAt(t, "127.0.0.1")
	for _, lie := range [][]string{nil, {"203.0.113.5"}, {"203.0.113.5, 127.0.0.1"}, {"203.0.113.5", "198.51.100.7"},
		{"127.0.0.1"}, {"garbage"}, {"203.0.113.5,,"}} {
		require.Equal(t, visitor.from, seen(visitor, lie...), "through the proxy, with %q", lie)
		for _, h := range c.hosts {
			require.Equal(t, visitor.from, seen(visitor.at(h), lie...), "past the proxy, with %q", lie)
		}
	}
	require.Equal(t, "203.0.113.5", seen(proxy.at(c.hosts[0]), "203.0.113.5"), "the proxy is believed")
	require.Equal(t, "198.51.100.7", seen(proxy.at(c.hosts[1]), "203.0.113.5, 198.51.100.7"),
		"the last that it was told")
	require.Equal(t, "127.0.0.1", seen(proxy.at(c.hosts[2]), "garbage"))

	// It does not bypass a limit either, with or without the proxy.
	resource := c.addResource(t)
	starts := visitor.slots(resource)
	for i, base := range []string{public, c.hosts[1].base} {
		liar := c.stranger(t)
		liar.base = base
		var held int
		for n := range perAddress + 3 {
			a := liar.post("/api/bookings", bookingRequest(resource, starts[i*(perAddress+3)+n],
				fmt.Sprintf("liar%d%d@example.com", i, n)), "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", n))
			if a.status == http.StatusCreated {
				held++
				continue
			}
			require.Equal(t, http.StatusTooManyRequests, a.status, a.brief())
		}
		require.Equal(t, perAddress, held)
	}
}
