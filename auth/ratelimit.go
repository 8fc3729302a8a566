package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// Rate is a budget of attempts that fills up again: it is never locked for long.
type Rate struct {
	// Burst is how many attempts a full budget holds; 0 is the default, and 1,000,000 the
	// most.
	Burst int
	// Every is how long it takes until one attempt more is there; 0 is the default, and
	// an hour the most.
	Every time.Duration
}

// LoginLimits bounds how often somebody may try to log in, over all replicas that share a
// database. The zero value is what the fields say.
//
// An attempt from a browser that has logged in to this account before takes from Browser
// alone. Any other takes from Network and from Own, and from Shared in place of Own when
// Own is empty; it is refused when Network is empty, or Own and Shared both are. An
// attempt that is refused takes from nothing, and one that succeeds gives nothing back.
// The addresses of accounts that do not exist are limited like those that do.
//
// A stranger can therefore use up Network, Own and Shared for browsers on the stranger's
// own network that have never logged in to the account. There an attempt is free again a
// minute after the stranger stops, and may be snatched away for as long as the stranger
// goes on. On any other network he can empty Shared alone, which leaves AccountFromNetwork: five tries,
// and one every ten minutes. A browser that has logged in before he cannot touch.
type LoginLimits struct {
	// Network bounds all attempts of one client network, as ClientAddress tells it, for
	// all who sit behind one address: 100, and one every 6 seconds.
	Network Rate
	// Own bounds those of one network for one account: 5, and one every 10 minutes.
	AccountFromNetwork Rate
	// Shared is one budget for each account, for networks that have used up their AccountFromNetwork:
	// 20, and one every minute.
	Account Rate
	// Browser bounds those of a browser that has logged in to the account before: 10, and
	// one every minute. It is known by a signed cookie that lasts as long as a browser
	// keeps it, names nobody, and grants this budget alone, for that account alone.
	KnownBrowser Rate
	// Off lifts all limits, for a service that has its own.
	Off bool
}

var defaultLimits = LoginLimits{
	Network:            Rate{Burst: 100, Every: 6 * time.Second},
	AccountFromNetwork: Rate{Burst: 5, Every: 10 * time.Minute},
	Account:            Rate{Burst: 20, Every: time.Minute},
	KnownBrowser:       Rate{Burst: 10, Every: time.Minute},
}

const (
	maxBurst = 1_000_000
	maxEvery = time.Hour // Longer would be a lock.
)

func (l LoginLimits) orDefaults() (LoginLimits, error) {
	for _, r := range []struct {
		rate     *Rate
		fallback Rate
	}{
		{&l.Network, defaultLimits.Network}, {&l.AccountFromNetwork, defaultLimits.AccountFromNetwork}, {&l.Account, defaultLimits.Account},
		{&l.KnownBrowser, defaultLimits.KnownBrowser},
	} {
		if r.rate.Burst < 0 || r.rate.Burst > maxBurst {
			return l, fmt.Errorf("auth: a burst of logins is %d, it must be from 1 to %d", r.rate.Burst, maxBurst)
		}
		if r.rate.Every != 0 && (r.rate.Every < time.Millisecond || r.rate.Every > maxEvery) {
			return l, errors.New("auth: the time between logins must be from a millisecond to an hour")
		}
		if r.rate.Burst == 0 {
			r.rate.Burst = r.fallback.Burst
		}
		r.rate.Every = orDefault(r.rate.Every, r.fallback.Every)
	}
	return l, nil
}

// LimitError says that an attempt to log in was refused because there had been too many.
// No password was looked at. It must be answered alike for every account: 429 with
// Retry-After.
type LimitError struct {
	// RetryAfter is when the next attempt is let through if nobody else takes it: whole
	// seconds, at least one and, with the default limits, at most sixty.
	RetryAfter time.Duration
}

// Error names no account.
func (e *LimitError) Error() string {
	return fmt.Sprintf("auth: too many logins, try again in %d seconds", int(e.RetryAfter/time.Second))
}

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
		choices = []ratelimit.Choice{{budget(a.limits.KnownBrowser, "browser", string(browser), account)}}
	} else {
		network := a.clientAddress(r)
		choices = []ratelimit.Choice{
			{budget(a.limits.Network, "network", network)},
			{budget(a.limits.AccountFromNetwork, "own", network, account), budget(a.limits.Account, "shared", account)},
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
