package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
)

// Level is the severity of a finding.
type Level string

const (
	// Problem: the host does not run, or does not work as it should.
	Problem Level = "problem"
	// Warning: a likely mistake.
	Warning Level = "warning"
	// OK: nothing to do.
	OK Level = "ok"
)

// Finding is a result of a check.
type Finding struct {
	Level Level `json:"level"`
	// Name is stable across releases, for scripts.
	Name Name `json:"name"`
	// Found never contains a secret.
	Found string `json:"found"`
	// Remedy is a sentence, or "" if the level is OK.
	Remedy string `json:"remedy,omitempty"`
}

func problem(name Name, found, remedy string) Finding { return Finding{Problem, name, found, remedy} }
func warning(name Name, found, remedy string) Finding { return Finding{Warning, name, found, remedy} }
func ok(name Name, found string) Finding              { return Finding{OK, name, found, ""} }

// Count returns the number of findings of a level.
func Count(findings []Finding, level Level) (n int) {
	for _, f := range findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Options are the input of [Examine].
type Options struct {
	// Config and Problems are the results of config.Read.
	Config   config.Config
	Problems config.Problems
	// DB is the host's database; nil if the embedded one is not running.
	DB *sql.DB
	// PoolSize is the number of connections of one host, and Hosts the number of hosts,
	// those of a deployment included.
	PoolSize, Hosts int
	// Timeout bounds each check; 0 is 8 seconds.
	Timeout time.Duration
	// The others replace the system in tests. FreeSpace returns the free bytes of the
	// disk of dir.
	Now       func() time.Time
	FreeSpace func(dir string) (uint64, error)
	Server    func(context.Context, *sql.DB) (postgres.Server, error)
}

// examination is one run of the checks.
type examination struct {
	Options
	// reached reports that the database answers, and current that its schema is complete.
	// A check that timed out may still set them.
	reached, current atomic.Bool
}

// check is one check. An error of run becomes a finding with its name.
type check struct {
	name Name
	when func(*examination) bool // nil is always.
	run  func(*examination, context.Context) ([]Finding, error)
}

// checks run in this order: some depend on results of earlier ones.
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
	{DatabaseURL, (*examination).external, (*examination).databaseURL},
	{DatabasePassword, (*examination).external, (*examination).databasePassword},
	{DatabaseTLS, (*examination).external, (*examination).databaseTLS},
	{DatabaseVersion, (*examination).answers, (*examination).server},
	{DatabaseClock, (*examination).answers, (*examination).databaseClock},
	{DatabaseConnections, (*examination).answers, (*examination).databaseConnections},
	{Schema, (*examination).answers, (*examination).schema},
	{DatabaseRights, (*examination).answers, (*examination).databaseRights},
	// Before the checks of data, which could wait for the lock.
	{DatabaseLocks, (*examination).answers, (*examination).locks},
	{DatabaseWrites, (*examination).readable, (*examination).writes},
	{Maintenance, (*examination).readable, (*examination).maintenance},
	{SecretUse, (*examination).readable, (*examination).secretUse},
	{AdminUser, (*examination).readable, (*examination).adminUser},
	{Resources, (*examination).readable, (*examination).resources},
	{Prices, (*examination).readable, (*examination).prices},
	{EventsWaiting, (*examination).readable, (*examination).eventsWaiting},
	{EventsOtherMode, (*examination).readable, (*examination).eventsOfOtherMode},
	{Reconciliation, (*examination).readable, (*examination).payments},
	{Background, (*examination).readable, (*examination).background},
	{Messages, (*examination).readable, (*examination).messages},
	{Stripe, nil, (*examination).stripe},
	{EventsUndelivered, (*examination).comparable, (*examination).eventsUndelivered},
}

// Examine runs all checks and returns their findings. It changes nothing: what it writes
// to the database is rolled back.
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
	if opts.Server == nil {
		opts.Server = postgres.Read
	}
	e := &examination{Options: opts}
	var found []Finding
	for _, c := range checks {
		if ctx.Err() != nil {
			break
		}
		if c.when == nil || c.when(e) {
			found = append(found, e.bounded(ctx, c)...)
		}
	}
	return redact(found, secretsOf(opts.Config))
}

// bounded runs a check until its timeout, even if the check ignores its context.
func (e *examination) bounded(ctx context.Context, c check) []Finding {
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	type result struct {
		found []Finding
		err   error
	}
	finished := make(chan result, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				finished <- result{err: fmt.Errorf("the check itself failed: %v", p)}
			}
		}()
		found, err := c.run(e, ctx)
		finished <- result{found, err}
	}()
	var r result
	select {
	case r = <-finished:
	case <-ctx.Done():
		// A check that respects its context has a better error a moment later.
		select {
		case r = <-finished:
		case <-time.After(time.Second):
			r.err = ctx.Err()
		}
	}
	if r.err == nil {
		return r.found
	}
	if errors.Is(r.err, context.DeadlineExceeded) {
		r.err = fmt.Errorf("no answer within %s", e.Timeout)
		// The other checks of the database would time out, too.
		e.reached.Store(false)
	}
	return append(r.found, problem(c.name, "check failed: "+r.err.Error(), "Correct this, and run doctor again."))
}

func (e *examination) embedded() bool { return e.Config.Embedded }

func (e *examination) external() bool { return !e.Config.Embedded && e.Config.DatabaseURL != "" }

func (e *examination) answers() bool { return e.reached.Load() }

func (e *examination) readable() bool { return e.reached.Load() && e.current.Load() }

// invalid reports whether a variable is a problem of the configuration, which is a
// finding already.
func (e *examination) invalid(variable string) bool {
	return slices.ContainsFunc(e.Problems, func(p config.Problem) bool { return p.Name == variable })
}

// inProduction is a problem in production and a warning in development.
func (e *examination) inProduction(name Name, found, remedy string) Finding {
	if e.Config.Production {
		return problem(name, found, remedy)
	}
	return warning(name, found, remedy)
}

// Name is the name of a finding. docs/doctor.md lists them.
type Name string

// Findings of Examine.
const (
	Configuration  Name = "configuration"
	Environment    Name = "environment"
	AppURL         Name = "app-url"
	CookieSecure   Name = "cookie-secure"
	CookieSite     Name = "cookie-samesite"
	CookieDomain   Name = "cookie-domain"
	TrustProxy     Name = "trust-proxy"
	MetricsAddress Name = "metrics-address"

	SessionSecret    Name = "session-secret"
	WebhookSecret    Name = "webhook-secret"
	StripeKey        Name = "stripe-key"
	StripeKeyMode    Name = "stripe-key-mode"
	SecretReused     Name = "secret-reused"
	SecretUse        Name = "secret-use"
	SecretGone       Name = "secret-gone"
	DatabasePassword Name = "database-password"

	DataDir Name = "data-dir"
	Disk    Name = "disk"

	Database            Name = "database"
	DatabaseURL         Name = "database-url"
	DatabaseVersion     Name = "database-version"
	DatabaseEncoding    Name = "database-encoding"
	DatabaseCollation   Name = "database-collation"
	DatabaseDurability  Name = "database-durability"
	DatabaseReadOnly    Name = "database-read-only"
	DatabaseClock       Name = "database-clock"
	DatabaseConnections Name = "database-connections"
	DatabaseTLS         Name = "database-tls"
	DatabaseRights      Name = "database-rights"
	DatabaseWrites      Name = "database-writes"
	DatabaseLocks       Name = "database-locks"
	Schema              Name = "schema"
	SchemaNewer         Name = "schema-newer"
	SchemaConstraint    Name = "schema-constraint"

	Stripe                  Name = "stripe"
	StripeClock             Name = "stripe-clock"
	WebhookEndpoint         Name = "webhook-endpoint"
	WebhookEndpointDisabled Name = "webhook-endpoint-disabled"
	WebhookEndpointTypes    Name = "webhook-endpoint-types"
	WebhookEndpointSurplus  Name = "webhook-endpoint-surplus"
	WebhookEndpointVersion  Name = "webhook-endpoint-version"
	WebhookEndpointMode     Name = "webhook-endpoint-mode"
	WebhookEndpointTwice    Name = "webhook-endpoint-twice"

	Deliveries        Name = "deliveries"
	Maintenance       Name = "maintenance"
	EventsUndelivered Name = "events-undelivered"
	EventsWaiting     Name = "events-waiting"
	EventsOtherMode   Name = "events-other-mode"
	RefundsStuck      Name = "refunds-stuck"
	RefundsFailed     Name = "refunds-failed"
	RefundsTwice      Name = "refunds-twice"
	PaymentsParked    Name = "payments-parked"
	PaymentsDisputed  Name = "payments-disputed"
	OtherAccounts     Name = "other-accounts"
	Reconciliation    Name = "reconciliation"
	Background        Name = "background"
	Messages          Name = "messages"
	MessagesRefused   Name = "messages-refused"
	AdminUser         Name = "admin-user"
	Resources         Name = "resources"
	Prices            Name = "prices"
)

// Findings of SmokeTest.
const (
	BaseReachable Name = "base-reachable"
	BaseLive      Name = "base-live"
	BaseReady     Name = "base-ready"
	BaseWebhook   Name = "base-webhook"
	BaseMetrics   Name = "base-metrics"

	PayMode      Name = "pay-mode"
	PaySlot      Name = "pay-slot"
	PayCheckout  Name = "pay-checkout"
	PayConfirmed Name = "pay-confirmed"
	PayOnce      Name = "pay-once"
	PayCancelled Name = "pay-cancelled"
	PayRefunded  Name = "pay-refunded"
)
