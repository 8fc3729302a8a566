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

// Rate is a budget of attempts.
type Rate struct {
	// Burst is a full budget, at most 1,000,000; 0 is the default.
	Burst int
	// Every is the time until one more attempt, at most an hour; 0 is the default.
	Every time.Duration
}

// LoginLimits bounds login attempts over all replicas. Zero values are the defaults
// below.
//
// An attempt from a browser that has logged in to the account before takes from
// KnownBrowser alone. Any other takes from Network and AccountFromNetwork, or Account
// when that is empty, and is refused when Network or both others are. A refused attempt
// takes nothing, a successful one gives nothing back. Unknown accounts have the same
// limits.
//
// So an attacker can lock unknown browsers out on the same network, until a minute after
// the attack stops; on other networks only Account is lost, which leaves five attempts,
// and one every ten minutes. Known browsers are not affected.
type LoginLimits struct {
	// Network is for one client network (Options.ClientAddress) and all accounts: 100,
	// and one every 6 seconds.
	Network Rate
	// AccountFromNetwork is for one account from one network: 5, and one every 10
	// minutes.
	AccountFromNetwork Rate
	// Account is for one account, from networks without AccountFromNetwork left: 20, and
	// one every minute.
	Account Rate
	// KnownBrowser is for one browser that has logged in to the account: 10, and one
	// every minute. A signed cookie, without the account's name, marks it for up to 400
	// days.
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

// LimitError means too many attempts; the password was not checked. Answer 429 with
// Retry-After, the same for every account.
type LimitError struct {
	// RetryAfter is in whole seconds, at most sixty with the default limits.
	RetryAfter time.Duration
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("auth: too many logins, try again in %d seconds", int(e.RetryAfter/time.Second))
}

// admit takes one attempt, or returns *LimitError. nonce is a known browser's.
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
