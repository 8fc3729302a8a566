package auth

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// admit takes one attempt from the budgets that it belongs to, or returns *LimitError.
// browser is what [deviceCookie.of] found.
func (a *Auth) admit(ctx context.Context, r *http.Request, account string, browser []byte) error {
	if a.limits.Off {
		return nil
	}
	budget := func(rate Rate, parts ...string) ratelimit.Budget {
		return ratelimit.Budget{Key: ratelimit.Key(a.keys[0], parts...), Rate: ratelimit.Rate(rate)}
	}
	var choices []ratelimit.Choice
	if browser != nil {
		choices = []ratelimit.Choice{{budget(a.limits.Browser, "browser", string(browser), account)}}
	} else {
		network := a.clientAddress(r)
		choices = []ratelimit.Choice{
			{budget(a.limits.Network, "network", network)},
			{budget(a.limits.Own, "own", network, account), budget(a.limits.Shared, "shared", account)},
		}
	}
	wait, err := ratelimit.Take(ctx, a.db, choices...)
	if err != nil {
		return fmt.Errorf("auth: count the attempt: %w", err)
	}
	if wait > 0 {
		return &LimitError{RetryAfter: wait}
	}
	return nil
}

// networkOf is the network that the connection comes from; see [ratelimit.Network].
func networkOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return ratelimit.Network(host)
}
