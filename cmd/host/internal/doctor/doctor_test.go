package doctor_test

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// All checks are made.
func TestExamine_GoodHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	found := w.examine()
	require.Empty(t, amiss(found), whole(found))
	seen := map[doctor.Name]bool{}
	for _, f := range found {
		seen[f.Name] = true
	}
	for _, name := range []doctor.Name{
		doctor.Configuration, doctor.StripeKeyMode, doctor.Database, doctor.DatabaseVersion, doctor.DatabaseReadOnly,
		doctor.DatabaseClock, doctor.DatabaseConnections,
		doctor.Schema, doctor.DatabaseRights, doctor.AdminUser, doctor.Resources, doctor.Prices, doctor.EventsWaiting,
		doctor.EventsOtherMode, doctor.RefundsStuck, doctor.RefundsFailed,
		doctor.PaymentsParked, doctor.PaymentsDisputed, doctor.Reconciliation, doctor.Background, doctor.Messages,
		doctor.Stripe, doctor.StripeClock, doctor.WebhookEndpoint,
		doctor.WebhookEndpointTypes, doctor.WebhookEndpointVersion, doctor.EventsUndelivered,
	} {
		require.True(t, seen[name], "%s was not examined:\n%s", name, whole(found))
	}
}

func set(pairs ...string) func(*world) {
	return func(w *world) {
		for i := 0; i < len(pairs); i += 2 {
			w.environ[pairs[i]] = pairs[i+1]
		}
	}
}

// other changes the properties of the server.
func other(change func(*postgres.Server)) func(*world) { return func(w *world) { w.change = change } }

func endpoint(change func(*stripetest.WebhookEndpoint)) func(*world) {
	return func(w *world) { change(&w.endpoints[0]) }
}

// answering makes Stripe answer every request with status.
func answering(status int) func(*world) {
	return func(w *world) {
		w.stripe = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(`{"error":{"type":"invalid_request_error","message":"Invalid API Key provided: ` +
				liveKey + `"}}`))
		})
	}
}

// M26: Each mistake alone leads to exactly one finding, or as listed.
func TestExamine_EachMistake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(*world)
		want  string
	}{
		"no public address":           {set("APP_URL", "https://booking.example.com/app"), "problem configuration"},
		"the embedded Postgres":       {set("STORAGE_DRIVER", "embedded"), "problem configuration"},
		"a publishable key":           {set("STRIPE_SECRET_KEY", "pk_live_hunter2hunter2"), "problem configuration"},
		"a cookie for another domain": {set("COOKIE_DOMAIN", "example.org"), "problem configuration"},
		"this machine's address": {func(w *world) {
			set("APP_URL", "https://localhost")(w)
			w.endpoints[0].URL = "https://localhost/webhook"
		}, "warning app-url"},
		"a cookie that http drops": {func(w *world) {
			set("APP_URL", "http://localhost", "TRUST_PROXY", "0")(w)
			w.endpoints[0].URL = "http://localhost/webhook"
		}, "warning app-url,warning cookie-secure"},
		"a cookie for every site":    {set("COOKIE_SAMESITE", "none"), "warning cookie-samesite"},
		"a cookie for all of com":    {set("COOKIE_DOMAIN", "com"), "problem cookie-domain"},
		"an unknown proxy":           {set("TRUST_PROXY", "0"), "warning trust-proxy"},
		"no metrics":                 {set("METRICS_ADDR", "off"), "warning metrics-address"},
		"metrics on every address":   {set("METRICS_ADDR", "0.0.0.0:2"), ""},
		"metrics for the public":     {set("METRICS_ADDR", "192.0.2.7:2"), "problem metrics-address"},
		"metrics at the host's port": {set("METRICS_ADDR", "127.0.0.1:1"), "problem metrics-address"},
		"the default port is taken":  {set("METRICS_ADDR", "", "PORT", "9464"), "warning metrics-address"},
		"a secret of one character":  {set("SESSION_SECRET", strings.Repeat("s", 40)), "problem session-secret"},
		"a secret that repeats itself": {set("SESSION_SECRET", strings.Repeat("0123456789abcdef", 2)),
			"problem session-secret"},
		"a placeholder": {set("SESSION_SECRET", "ChangeMe-ChangeMe-ChangeMe-0123456789"),
			"problem session-secret"},
		"a cut signing secret": {set("STRIPE_WEBHOOK_SECRET", "whsec_Zt8f"), "problem webhook-secret"},
		"a secret of stripe listen": {set("STRIPE_WEBHOOK_SECRET", "whsec_"+strings.Repeat("0123456789abcdef", 4)),
			"warning webhook-secret"},
		"a key with a blank": {set("STRIPE_SECRET_KEY", "sk_live_4eC39 HqLyjWDarjtT1zdp7dc"), "problem configuration"},
		"a test key in production": {func(w *world) {
			set("STRIPE_SECRET_KEY",
				testKey)(w)
			w.endpoints[0].Livemode = false
		},
			"problem stripe-key-mode"},
		"a live key, a test endpoint": {endpoint(func(e *stripetest.WebhookEndpoint) { e.Livemode = false }),
			"problem webhook-endpoint-mode"},
		"the same secret twice": {set("SESSION_SECRET",
			"kXk6V0lHq2B8ZtqC0yq3n0Wm5m5d1fJr7uYb9sPzE4A=,kXk6V0lHq2B8ZtqC0yq3n0Wm5m5d1fJr7uYb9sPzE4A="),
			"problem secret-reused"},
		"one secret for two things": {set("ADMIN_EMAIL", "admin@example.com", "ADMIN_PASSWORD", "T7gqv2mZ1xk9"),
			"problem secret-reused"},
		"the password of the example": {set("DATABASE_URL", "postgres://booking:booking@db/booking_platform"),
			"warning database-password"},
		"a remote server without TLS": {set("DATABASE_URL", "postgres://booking:T7gqv2mZ1xk9@db.example.com/b"),
			"warning database-tls"},
		"a remote server unverified": {set("DATABASE_URL",
			"postgres://booking:T7gqv2mZ1xk9@10.0.0.7/b?sslmode=require"), "warning database-tls"},
		"more hosts than connections": {func(w *world) { w.options.Hosts = 60 }, "problem database-connections"},
		"a database with a limit": {func(w *world) {
			w.exec(`ALTER DATABASE "` + w.name() +
				`" CONNECTION LIMIT 42`)
		}, "problem database-connections"},
		"a read-only database": {func(w *world) {
			w.exec(`ALTER DATABASE "` + w.name() + `" SET default_transaction_read_only = on`)
			w.reconnect()
		}, "problem database-read-only"},
		"a parameter left out": {set("DATABASE_URL",
			"postgres://booking:T7gqv2mZ1xk9@db/b?channel_binding=require"), "warning database-url"},
		"a variable of libpq": {set("PGSSLMODE", "verify-full"), "warning database-url"},
		"an old server": {other(func(s *postgres.Server) { s.Number, s.Version = 130018, "13.18" }),
			"problem database-version"},
		"a standby": {other(func(s *postgres.Server) { s.Standby, s.ReadOnly = true, true }),
			"problem database-read-only"},
		"a database of Latin 1": {other(func(s *postgres.Server) { s.Encoding = "LATIN1" }),
			"problem database-encoding"},
		"a Turkish locale": {other(func(s *postgres.Server) { s.FoldsLetters = false }),
			"problem database-encoding"},
		"commits that do not wait": {other(func(s *postgres.Server) { s.SynchronousCommit = "off" }),
			"problem database-durability"},
		"unchecked foreign keys": {other(func(s *postgres.Server) { s.ReplicationRole = "replica" }),
			"problem database-durability"},
		"a clock of a minute and a half": {func(w *world) {
			w.skew = -90 * time.Second
			w.options.Now = func() time.Time { return time.Now().Add(-90 * time.Second) }
		}, "problem database-clock"},
		"a clock of twenty seconds": {func(w *world) {
			w.skew = 20 * time.Second
			w.options.Now = func() time.Time { return time.Now().Add(20 * time.Second) }
		}, "warning database-clock"},
		"Stripe's clock is another": {func(w *world) { w.skew = 10 * time.Minute }, "problem stripe-clock"},
		"a migration that is missing": {func(w *world) {
			w.exec(`UPDATE booking_platform.schema_versions SET version = version - 1 WHERE set_name = 'payments'`)
		}, "problem schema"},
		"two records of the migrations": {func(w *world) {
			w.exec(`DELETE FROM booking_platform.goose_payments WHERE version_id = (SELECT max(version_id) FROM booking_platform.goose_payments)`)
			w.exec(`UPDATE booking_platform.schema_versions SET version = version - 1 WHERE set_name IN ('auth', 'payments')`)
		}, "problem schema"},
		"a newer schema": {func(w *world) {
			w.exec(`UPDATE booking_platform.schema_versions SET version = 99 WHERE set_name = 'auth'`)
		}, "warning schema-newer"},
		"the constraint is gone": {func(w *world) {
			w.exec(`ALTER TABLE booking_platform.bookings DROP CONSTRAINT bookings_no_overlap`)
		}, "problem schema-constraint"},
		"a right that is missing": {func(w *world) {
			w.exec(`REVOKE INSERT ON booking_platform.bookings FROM current_user`)
		}, "problem database-rights"},
		"no operator": {func(w *world) { w.exec(`UPDATE booking_platform.users SET active = false`) },
			"problem admin-user"},
		// O5: reads work.
		"a full disk": {func(w *world) {
			w.exec(`CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$`)
			w.exec(`CREATE TRIGGER full_disk BEFORE INSERT ON booking_platform.payment_events FOR EACH ROW EXECUTE FUNCTION public.full()`)
		}, "problem database-writes"},
		"a session that blocks others": {(*world).blocked, "problem database-locks"},
		"maintenance":                  {func(w *world) { w.exec(`INSERT INTO booking_platform.maintenance DEFAULT VALUES`) }, "warning maintenance"},
		"the operator of ADMIN_EMAIL is disabled": {func(w *world) {
			set("ADMIN_EMAIL", "admin@example.com", "ADMIN_PASSWORD", "correct horse battery")(w)
			w.exec(`UPDATE booking_platform.users SET active = false`)
		}, "problem admin-user"},
		"every signature is wrong":    {counting("reasons", "signature_wrong", 3), "problem deliveries"},
		"deliveries that fail":        {counting("deliveries", "failed", 1), "warning deliveries"},
		"signatures with a bad time":  {counting("reasons", "timestamp_too_old", 2), "warning deliveries"},
		"deliveries that are ignored": {counting("deliveries", "ignored", 2), ""},
		"nothing to book": {func(w *world) { w.exec(`UPDATE booking_platform.resources SET active = false`) },
			"warning resources"},
		"no endpoint": {func(w *world) { w.endpoints = []stripetest.WebhookEndpoint{} },
			"problem webhook-endpoint"},
		"an endpoint elsewhere": {endpoint(func(e *stripetest.WebhookEndpoint) { e.URL += "s" }),
			"problem webhook-endpoint"},
		"an endpoint that is off": {endpoint(func(e *stripetest.WebhookEndpoint) { e.Disabled = true }),
			"problem webhook-endpoint-disabled"},
		"an event that is not sent": {endpoint(func(e *stripetest.WebhookEndpoint) {
			e.EnabledEvents = payments.EventTypes()[1:]
		}), "problem webhook-endpoint-types"},
		"surplus events": {endpoint(func(e *stripetest.WebhookEndpoint) {
			e.EnabledEvents = append(payments.EventTypes(), "charge.succeeded")
		}), "warning webhook-endpoint-surplus"},
		"every event there is": {endpoint(func(e *stripetest.WebhookEndpoint) { e.EnabledEvents = []string{"*"} }),
			"warning webhook-endpoint-surplus"},
		"another API version": {endpoint(func(e *stripetest.WebhookEndpoint) { e.APIVersion = "2020-08-27" }),
			"warning webhook-endpoint-version"},
		"the account's API version": {endpoint(func(e *stripetest.WebhookEndpoint) { e.APIVersion = "" }),
			"warning webhook-endpoint-version"},
		"two endpoints": {func(w *world) { w.endpoints = append(w.endpoints, w.endpoints[0]) },
			"warning webhook-endpoint-twice"},
		"a key that is dead": {answering(http.StatusUnauthorized), "problem stripe"},
		"a key that may not list": {answering(http.StatusForbidden),
			"warning webhook-endpoint,warning events-undelivered"},
		"Stripe is ill":                {answering(http.StatusInternalServerError), "problem stripe"},
		"an event that never came":     {func(w *world) { w.lostFor = time.Hour }, "problem events-undelivered"},
		"an event that fails":          {func(w *world) { w.event("failed", "x") }, "problem events-waiting"},
		"an event without its payment": {func(w *world) { w.event("unmatched", "") }, "warning events-waiting"},
		"events of test mode": {func(w *world) { w.event("ignored", "test_mode") },
			"warning events-other-mode"},
		"no mail server": {set("SMTP_URL", "", "MAIL_FROM", ""), "warning messages"},
		"a mail that waits": {func(w *world) {
			w.exec(`INSERT INTO booking_platform.messages (kind, reference, occurrence, due_at)
				VALUES ('customer.link', '1', '1', statement_timestamp() - interval '1 hour')`)
		}, "problem messages"},
		"a mail that was refused": {func(w *world) {
			w.exec(`INSERT INTO booking_platform.messages (kind, reference, occurrence, state, settled_at)
				VALUES ('customer.link', '1', '1', 'refused', statement_timestamp())`)
		}, "warning messages-refused"},
		"a refund that is stuck":     {func(w *world) { w.refund("due", 3) }, "problem refunds-stuck"},
		"a refund that is not made":  {func(w *world) { w.refund("due", 0) }, "warning refunds-stuck"},
		"a refund that was refused":  {func(w *world) { w.refund("failed", 1) }, "problem refunds-failed"},
		"a refund that was canceled": {func(w *world) { w.refund("canceled", 1) }, "problem refunds-failed"},
		"a refund on its way for long": {func(w *world) {
			w.refund("pending", 1)
			w.exec(`UPDATE booking_platform.refunds SET created_at = statement_timestamp() - interval '15 days'`)
		}, "warning refunds-failed"},
		"a refund by hand": {func(w *world) {
			w.refund("due", 0)
			w.exec(`UPDATE booking_platform.refunds SET by_hand = true`)
		}, "warning refunds-stuck"},
		"a refund by hand and at Stripe": {func(w *world) {
			w.refund("succeeded", 0)
			w.exec(`UPDATE booking_platform.refunds SET by_hand = true`)
			w.exec(`UPDATE booking_platform.payments SET refunded_minor = 2 * captured_minor`)
		}, "warning refunds-twice"},
		"a refund of another account": {func(w *world) {
			w.refund("due", 3)
			w.exec(`UPDATE booking_platform.payments SET account = 'other/live'`)
		}, "warning other-accounts"},
		"a refund of the other mode": {func(w *world) {
			w.refund("due", 3)
			w.exec(`UPDATE booking_platform.payments SET account = 'test'`)
		}, "warning other-accounts"},
		"a refund of this account": {func(w *world) {
			w.refund("due", 3)
			w.exec(`UPDATE booking_platform.payments SET account = 'live'`)
		}, "problem refunds-stuck"},
		"a parked payment": {func(w *world) {
			w.payment(`parked = true, completed = true, parked_reason = 'amount_differs'`)
		}, "warning payments-parked"},
		"a disputed payment": {func(w *world) {
			w.payment(`disputes = 1, disputes_open = 1, completed = true, captured_minor = 2500, captured_currency = 'eur'`)
		}, "warning payments-disputed"},
		"a payment that is not reconciled": {func(w *world) {
			w.payment(`session_expires_at = statement_timestamp() - interval '1 hour'`)
		}, "warning reconciliation"},
		"links of a secret that is gone": {func(w *world) {
			w.payment(`completed = true`)
			w.exec(`UPDATE booking_platform.bookings SET owner_secret = '0123456789ab', owner_nonce = '\x00'`)
		}, "warning secret-gone"},
		"a feed of a secret that is gone": {func(w *world) {
			w.exec(`INSERT INTO booking_platform.calendar_feeds (token_hash, secret, resource_id) SELECT '\x00', '0123456789ab', id FROM booking_platform.resources`)
		}, "warning secret-gone"},
		"a hold that is not released": {func(w *world) {
			w.payment(`failed = true`)
			w.exec(`UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() - interval '1 hour'`)
		}, "warning background"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.plant(w)
			found := w.examine()
			require.Equal(t, c.want, strings.Join(amiss(found), ","), whole(found))
		})
	}
}

// atHome checks a host in development, by default with an embedded Postgres that is not
// running.
func atHome(t *testing.T, opts doctor.Options, environ map[string]string) []doctor.Finding {
	t.Helper()
	if environ["DATA_DIR"] == "" {
		environ["DATA_DIR"] = filepath.Join(t.TempDir(), "data")
	}
	for name, value := range map[string]string{"PORT": "1", "METRICS_ADDR": "127.0.0.1:2"} {
		if environ[name] == "" {
			environ[name] = value
		}
	}
	opts.Config, opts.Problems = config.Read(environ)
	opts.PoolSize, opts.Hosts = 20, 2
	return doctor.Examine(t.Context(), opts)
}

// What only production needs is not reported.
func TestExamine_DevelopmentWithoutFindings(t *testing.T) {
	t.Parallel()
	found := atHome(t, doctor.Options{}, map[string]string{})
	require.Empty(t, amiss(found), whole(found))
	require.Contains(t, whole(found), "MB are free", "the system was asked")

	w := newWorld(t)
	found = atHome(t, doctor.Options{DB: testdb.New(t)}, map[string]string{
		"DATABASE_URL": "postgres://booking:booking@db/booking_platform", "STRIPE_SECRET_KEY": testKey,
		"STRIPE_WEBHOOK_SECRET": "whsec_" + strings.Repeat("0123456789abcdef", 4),
		"STRIPE_API_BASE":       w.account(), "APP_URL": "http://127.0.0.1:3000",
	})
	require.Empty(t, amiss(found), whole(found))

	found = atHome(t, doctor.Options{DB: testdb.Empty(t)}, map[string]string{"DATABASE_URL": "postgres://db/b"})
	require.Equal(t, []string{"warning schema"}, amiss(found), whole(found))
}

func TestExamine_MistakesInDevelopment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"a live key": {[]string{"STRIPE_SECRET_KEY", liveKey, "STRIPE_WEBHOOK_SECRET",
			"whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd", "STRIPE_API_BASE", "http://127.0.0.1:1"},
			"warning stripe-key-mode,problem stripe"},
		"a live key of Stripe's": {[]string{"STRIPE_SECRET_KEY", liveKey, "STRIPE_WEBHOOK_SECRET",
			"whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd"}, "problem configuration"},
		"a public address": {[]string{"APP_URL", "https://booking.example.com"},
			"problem configuration,warning environment"},
		"a secure cookie on http": {[]string{"COOKIE_SECURE", "true", "APP_URL", "http://192.168.1.7:3000"},
			"problem configuration,problem cookie-secure"},
		"two environments": {[]string{"APP_ENV", "development", "NODE_ENV", "production", "APP_URL",
			"https://booking.example.com", "DATABASE_URL", "postgres://db/b",
			"SESSION_SECRET", "kXk6V0lHq2B8ZtqC0yq3n0Wm5m5d1fJr7uYb9sPzE4A=", "TRUST_PROXY", "1", "STRIPE_SECRET_KEY",
			liveKey, "STRIPE_WEBHOOK_SECRET", "whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd", "STRIPE_API_BASE",
			"http://127.0.0.1:1"}, "problem configuration,problem configuration"},
		"a weak secret": {[]string{"SESSION_SECRET", strings.Repeat("s", 40)}, "warning session-secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ := map[string]string{}
			for i := 0; i < len(c.environ); i += 2 {
				environ[c.environ[i]] = c.environ[i+1]
			}
			found := atHome(t, doctor.Options{}, environ)
			require.Equal(t, c.want, strings.Join(amiss(found), ","), whole(found))
		})
	}
}

func TestExamine_FreeSpace(t *testing.T) {
	t.Parallel()
	for want, free := range map[string]uint64{"problem disk": 100 << 20, "warning disk": 500 << 20} {
		found := atHome(t, doctor.Options{FreeSpace: func(string) (uint64, error) { return free, nil }},
			map[string]string{})
		require.Equal(t, []string{want}, amiss(found), whole(found))
	}
}

func TestExamine_DataDirPermissions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	password := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(password, []byte("x"), 0o600))
	examine := func(dir string) []string {
		return amiss(atHome(t, doctor.Options{}, map[string]string{"DATA_DIR": dir}))
	}
	require.Empty(t, examine(dir))
	require.Equal(t, []string{"problem data-dir"}, examine(password), "a file")
	require.NoError(t, os.Chmod(password, 0o644))
	require.Equal(t, []string{"warning data-dir"}, examine(dir))
	require.NoError(t, os.Chmod(password, 0o600))
	require.NoError(t, os.Chmod(dir, 0o777))
	require.Equal(t, []string{"warning data-dir"}, examine(dir))
}

// A check that hangs or panics is a finding, and the others are made.
func TestExamine_ChecksAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	for want, ask := range map[string]func(string) (uint64, error){
		"no answer within": func(string) (uint64, error) { <-release; return 0, nil },
		"itself failed":    func(string) (uint64, error) { panic("a mistake") },
	} {
		found := atHome(t, doctor.Options{FreeSpace: ask, Timeout: 200 * time.Millisecond}, map[string]string{})
		require.Equal(t, []string{"problem disk"}, amiss(found), whole(found))
		require.Contains(t, whole(found), want)
		require.Contains(t, whole(found), "ok stripe: ")
	}
}

func TestCollation_AnotherVersion(t *testing.T) {
	t.Parallel()
	require.Equal(t, doctor.Warning, doctor.Collation("2.31", "2.36").Level)
	require.Equal(t, doctor.OK, doctor.Collation("2.36", "2.36").Level)
	require.Equal(t, doctor.OK, doctor.Collation("", "").Level)
}
