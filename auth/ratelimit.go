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

// Rate is the size of a budget of attempts and its refill interval.
type Rate struct {
	// Burst is the number of attempts in a full budget, at most 1,000,000; 0 is the
	// default.
	Burst int
	// Every is the time until one more attempt is available, at most an hour; 0 is the
	// default.
	Every time.Duration
}

// LoginLimits bounds the login attempts over all replicas. Zero values are the defaults
// below.
//
// An attempt from a browser that has logged in to the account before takes from
// KnownBrowser alone. Any other takes from Network and AccountFromNetwork, or from
// Network and Account when AccountFromNetwork is empty, and is refused when Network or
// both others are empty. A refused attempt takes nothing, and a successful one gives
// nothing back. Accounts that do not exist have the same limits.
//
// An attacker can therefore exhaust all three for unknown browsers on the same network,
// until a minute after the attack stops; on other networks Account alone, which leaves
// five attempts, and one every ten minutes. Known browsers are not affected.
type LoginLimits struct {
	// Network is the budget of one client network (Options.ClientAddress) for all
	// accounts: 100, and one every 6 seconds.
	Network Rate
	// AccountFromNetwork is the budget of one account from one network: 5, and one every
	// 10 minutes.
	AccountFromNetwork Rate
	// Account is the budget of one account for the networks that have exhausted their
	// AccountFromNetwork: 20, and one every minute.
	Account Rate
	// KnownBrowser is the budget of one browser that has logged in to the account before:
	// 10, and one every minute. A signed cookie, without the account's name, marks it for
	// up to 400 days.
	KnownBrowser Rate
	// Off disables all limits.
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
	maxEvery = time.Hour // A longer interval would lock users out.
)

func (l LoginLimits) orDefaults() (LoginLimits, error) {
	for _, r := range []struct {
		rate     *Rate
		fallback Rate
	}{
		{&l.Network, defaultLimits.Network},
		{&l.AccountFromNetwork, defaultLimits.AccountFromNetwork},
		{&l.Account, defaultLimits.Account},
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

// LimitError means that an attempt was refused because there were too many; the password
// was not checked. Answer 429 with Retry-After, the same for every account.
type LimitError struct {
	// RetryAfter is the time until the next attempt in whole seconds, at most sixty with
	// the default limits.
	RetryAfter time.Duration
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("auth: too many logins, try again in %d seconds", int(e.RetryAfter/time.Second))
}

// admit takes one attempt from its budgets, or returns *LimitError. nonce is that of a
// known browser.
func (a *Auth) admit(ctx context.Context, r *http.Request, account string, nonce []byte) error {
	if a.limits.Off {
		return nil
	}
	budget := func(rate Rate, parts ...string) ratelimit.Budget {
		return ratelimit.Budget{Key: ratelimit.Key(a.keys[0], parts...), Rate: ratelimit.Rate(rate)}
	}
	var choices []ratelimit.Choice
	if nonce != nil {
		choices = []ratelimit.Choice{{budget(a.limits.KnownBrowser, "browser", string(nonce), account)}}
	} else {
		network := a.clientAddress(r)
		choices = []ratelimit.Choice{
			{budget(a.limits.Network, "network", network)},
			{
				budget(a.limits.AccountFromNetwork, "own", network, account),
				budget(a.limits.Account, "shared", account),
			},
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

func networkOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return ratelimit.Network(host)
}
