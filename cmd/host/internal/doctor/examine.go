package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
)

// Options are what [Examine] looks at.
type Options struct {
	// Config is what could be read of the configuration, and Problems what is wrong with
	// it: see config.Read.
	Config   config.Config
	Problems config.Problems
	// DB is the host's database; it stays the caller's. nil is none: for the embedded
	// one, that no host runs it.
	DB *sql.DB
	// PoolSize is how many connections one host opens, and Hosts how many hosts there are
	// at once, a deployment's included.
	PoolSize, Hosts int
	// Timeout bounds each check; 0 is 8 seconds.
	Timeout time.Duration
	// Now is this machine's clock, FreeSpace tells how many bytes are free where a folder
	// is, and Addresses are this machine's, each with its prefix; nil are the system's.
	// For tests.
	Now       func() time.Time
	FreeSpace func(dir string) (uint64, error)
	Addresses func() ([]net.Addr, error)
	// Server reads what the server is; nil asks it. For tests.
	Server func(context.Context, *sql.DB) (postgres.Server, error)
}

// examination is one run of the checks.
type examination struct {
	Options
	// reached tells that the database answers, current that its schema has what this
	// program needs. A check that was given up may still set them.
	reached, current atomic.Bool
}

// check is one question. Its error means that it could not be asked; the finding then has
// its name.
type check struct {
	name Name
	// of tells whether it is asked at all; nil is always.
	of  func(*examination) bool
	ask func(*examination, context.Context) ([]Finding, error)
}

// checks are asked in this order: the later ones need what the earlier ones have found
// out.
var checks = []check{
	{Configuration, nil, (*examination).configuration},
	{Environment, nil, (*examination).environment},
	{CookieSecure, nil, (*examination).cookie},
	{TrustProxy, nil, (*examination).proxy},
	{MetricsAddress, nil, (*examination).metrics},
	{SessionSecret, nil, (*examination).sessionSecret},
	{WebhookSecret, nil, (*examination).webhookSecret},
	{StripeKey, nil, (*examination).stripeKey},
	{SecretReused, nil, (*examination).reusedSecrets},
	{DataDir, (*examination).embedded, (*examination).dataDir},
	{Disk, (*examination).embedded, (*examination).disk},
	{Database, nil, (*examination).reach},
	{DatabaseURL, (*examination).elsewhere, (*examination).databaseURL},
	{DatabasePassword, (*examination).elsewhere, (*examination).databasePassword},
	{DatabaseTLS, (*examination).elsewhere, (*examination).databaseTLS},
	{DatabasePrepare, (*examination).elsewhere, (*examination).databasePrepare},
	{DatabaseVersion, (*examination).answers, (*examination).database},
	{DatabaseClock, (*examination).answers, (*examination).databaseClock},
	{DatabaseConnections, (*examination).answers, (*examination).databaseConnections},
	{Schema, (*examination).answers, (*examination).schema},
	{DatabaseRights, (*examination).answers, (*examination).databaseRights},
	{SecretUse, (*examination).readable, (*examination).secretUse},
	{AdminUser, (*examination).readable, (*examination).adminUser},
	{Resources, (*examination).readable, (*examination).resources},
	{Prices, (*examination).readable, (*examination).prices},
	{EventsWaiting, (*examination).readable, (*examination).eventsWaiting},
	{EventsOtherMode, (*examination).readable, (*examination).eventsOfOtherMode},
	{Reconciliation, (*examination).readable, (*examination).payments},
	{Background, (*examination).readable, (*examination).background},
	{Stripe, nil, (*examination).stripe},
	{EventsUndelivered, (*examination).comparable, (*examination).eventsUndelivered},
}

// Examine makes every check, in a bounded time each, and returns what was found in the
// order in which it is best read. It changes nothing.
func Examine(ctx context.Context, opts Options) []Finding {
	if opts.Timeout <= 0 {
		opts.Timeout = 8 * time.Second
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.FreeSpace == nil {
		opts.FreeSpace = freeSpace
	}
	if opts.Addresses == nil {
		opts.Addresses = net.InterfaceAddrs
	}
	if opts.Server == nil {
		opts.Server = postgres.Read
	}
	e := &examination{Options: opts}
	var found []Finding
	for _, c := range checks {
		if ctx.Err() != nil {
			break
		}
		if c.of == nil || c.of(e) {
			found = append(found, e.bounded(ctx, c)...)
		}
	}
	return withoutSecrets(found, secretsOf(opts.Config))
}

// bounded makes a check, and gives it up when its time is over, whether or not it heeds
// its context.
func (e *examination) bounded(ctx context.Context, c check) []Finding {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	type answer struct {
		found []Finding
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		// A mistake in one check is not the end of the others.
		defer func() {
			if p := recover(); p != nil {
				answered <- answer{err: fmt.Errorf("the check itself failed: %v", p)}
			}
		}()
		found, err := c.ask(e, ctx)
		answered <- answer{found, err}
	}()
	var a answer
	select {
	case a = <-answered:
	case <-ctx.Done():
		// What heeds its context has a moment to say more than that it ended.
		select {
		case a = <-answered:
		case <-time.After(time.Second):
			a.err = ctx.Err()
		}
	}
	if a.err == nil {
		return a.found
	}
	if errors.Is(a.err, context.DeadlineExceeded) {
		a.err = fmt.Errorf("no answer within %s", e.Timeout)
		// Whatever did not answer would keep each of the others waiting as long.
		e.reached.Store(false)
	}
	return append(a.found, problem(c.name, "could not be examined: "+a.err.Error(),
		"See to it that what was asked answers, and run this again."))
}

func (e *examination) embedded() bool { return e.Config.Embedded }

// elsewhere tells that the database is that of DATABASE_URL.
func (e *examination) elsewhere() bool { return !e.Config.Embedded && e.Config.DatabaseURL != "" }

func (e *examination) answers() bool { return e.reached.Load() }

// readable tells that the database has the tables and columns that this program asks for.
func (e *examination) readable() bool { return e.reached.Load() && e.current.Load() }

// wrong tells whether the configuration has a problem with a variable, which is a finding
// already.
func (e *examination) wrong(variable string) bool {
	for _, p := range e.Problems {
		if p.Name == variable {
			return true
		}
	}
	return false
}

// inProduction is a problem in production and a warning in development.
func (e *examination) inProduction(name Name, found, remedy string) Finding {
	if e.Config.Production {
		return problem(name, found, remedy)
	}
	return warning(name, found, remedy)
}
