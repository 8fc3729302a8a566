package doctor_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/checkout/session"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/doctor"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func TestMain(m *testing.M) { testdb.Main(m) }

const (
	liveKey = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
	testKey = "sk_test_4eC39HqLyjWDarjtT1zdp7dc"
	hook    = "https://booking.example.com/webhook"
)

// world is a production host without problems, with a real Postgres and a fake Stripe. A
// test case changes it before it is checked.
type world struct {
	t       *testing.T
	environ map[string]string
	db      *sql.DB
	options doctor.Options
	// endpoints are those of the Stripe account, and skew is the offset of Stripe's
	// clock.
	endpoints []stripetest.WebhookEndpoint
	skew      time.Duration
	// stripe replaces the fake, if it is set.
	stripe http.Handler
	// lostFor is the age of an undelivered event; 0 is none.
	lostFor time.Duration
	keep    *stripetest.Server
	metrics string // Overrides METRICS_ADDR.
	// change changes the properties of the server.
	change func(*postgres.Server)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: testdb.New(t), environ: map[string]string{
		"APP_ENV":               "production",
		"APP_URL":               "https://booking.example.com",
		"DATABASE_URL":          "postgres://booking:T7gqv2mZ1xk9@db:5432/booking_platform",
		"SESSION_SECRET":        "kXk6V0lHq2B8ZtqC0yq3n0Wm5m5d1fJr7uYb9sPzE4A=",
		"STRIPE_SECRET_KEY":     liveKey,
		"STRIPE_WEBHOOK_SECRET": "whsec_Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd",
		"TRUST_PROXY":           "1",
		"SMTP_URL":              "smtps://studio:vB7qT2mZ9x@mail.example.com",
		"MAIL_FROM":             "Studio <hello@example.com>",
		// Nothing listens there.
		"PORT": "1", "METRICS_ADDR": "127.0.0.1:2",
	}}
	w.endpoints = []stripetest.WebhookEndpoint{{URL: hook, EnabledEvents: payments.EventTypes(),
		APIVersion: stripetest.APIVersion, Livemode: true}}
	users, err := auth.NewUsers(w.db, auth.UsersOptions{})
	require.NoError(t, err)
	_, err = users.Add(t.Context(), "admin@example.com", "correct horse battery", auth.RoleAdmin)
	require.NoError(t, err)
	_, err = w.bookings().CreateResource(t.Context(), booking.Resource{
		Slug: "room", Name: "Room", TimeZone: "Europe/Paris", SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
	})
	require.NoError(t, err)
	w.options = doctor.Options{DB: w.db, Server: w.server, PoolSize: 20, Hosts: 2,
		FreeSpace: func(string) (uint64, error) { return 50 << 30, nil }}
	return w
}

// server is the test's server, with durable settings.
func (w *world) server(ctx context.Context, db *sql.DB) (postgres.Server, error) {
	s, err := postgres.Read(ctx, db)
	s.Fsync, s.FullPageWrites, s.SynchronousCommit = "on", "on", "on"
	if w.change != nil {
		w.change(&s)
	}
	return s, err
}

func (w *world) owners(sessionSecrets ...string) *booking.Store {
	w.t.Helper()
	secrets, err := booking.DeriveOwnerSecrets(sessionSecrets)
	require.NoError(w.t, err)
	bookings, err := booking.New(w.db, booking.Options{OwnerSecrets: secrets})
	require.NoError(w.t, err)
	return bookings
}

func (w *world) bookings() *booking.Store {
	w.t.Helper()
	bookings, err := booking.New(w.db, booking.Options{})
	require.NoError(w.t, err)
	return bookings
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
}

// reconnect makes new sessions, for settings of the database.
func (w *world) reconnect() {
	w.db.SetMaxIdleConns(0)
	w.db.SetMaxIdleConns(2)
}

// name returns the name of the database.
func (w *world) name() (name string) {
	w.t.Helper()
	require.NoError(w.t, w.db.QueryRowContext(w.t.Context(), `SELECT current_database()`).Scan(&name))
	return name
}

// account serves the fake, with a live key, too.
func (w *world) account() string {
	w.t.Helper()
	fake, err := stripetest.New(stripetest.Options{
		SecretKey: testKey, WebhookEndpoints: w.endpoints, Now: func() time.Time { return time.Now().Add(-w.lostFor) },
	})
	require.NoError(w.t, err)
	w.keep = fake
	web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Date", time.Now().Add(w.skew).UTC().Format(http.TimeFormat))
		if w.stripe != nil {
			w.stripe.ServeHTTP(rw, r)
			return
		}
		if r.Header.Get("Authorization") == "Bearer "+liveKey {
			r.Header.Set("Authorization", "Bearer "+testKey)
		}
		fake.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(web.Close)
	return web.URL
}

func (w *world) examine() []doctor.Finding {
	w.t.Helper()
	w.options.Config, w.options.Problems = config.Read(w.environ)
	// The configuration refuses STRIPE_API_BASE in production.
	if w.options.Config.StripeAPIBase == "" {
		w.options.Config.StripeAPIBase = w.account()
	}
	// A host may be running at the default address.
	if w.metrics != "" {
		w.options.Config.Metrics.Address = w.metrics
	}
	if w.lostFor > 0 {
		w.pays()
	}
	found := doctor.Examine(w.t.Context(), w.options)
	for _, f := range found {
		require.NotEmpty(w.t, f.Found)
		require.Equal(w.t, f.Level != doctor.OK, f.Remedy != "", "%v", f)
		for _, secret := range []string{"T7gqv2mZ1xk9", "hunter2", "4eC39HqLyjWDarjtT1zdp7dc", "kXk6V0lHq2B8ZtqC0yq3",
			"Zt8fQ2mXy0Lb7Kc3Vn5Rw9Jd"} {
			require.NotContains(w.t, f.Found+f.Remedy, secret)
		}
	}
	return found
}

// amiss returns the findings that are not OK, as "level name".
func amiss(found []doctor.Finding) []string {
	names := []string{}
	for _, f := range found {
		if f.Level != doctor.OK {
			names = append(names, string(f.Level)+" "+string(f.Name))
		}
	}
	return names
}

func whole(found []doctor.Finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(string(f.Level) + " " + string(f.Name) + ": " + f.Found + "\n")
	}
	return b.String()
}

// pays pays for a Checkout Session whose event is not delivered.
func (w *world) pays() {
	w.t.Helper()
	api := httptest.NewServer(w.keep)
	defer api.Close()
	backend := stripe.GetBackendWithConfig(stripe.APIBackend,
		&stripe.BackendConfig{URL: &api.URL, LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull}})
	made, err := session.Client{B: backend, Key: testKey}.New(&stripe.CheckoutSessionParams{
		Mode: stripe.String("payment"), SuccessURL: stripe.String("https://shop.example/success"),
		LineItems: []*stripe.CheckoutSessionLineItemParams{{Quantity: stripe.Int64(1),
			PriceData: &stripe.CheckoutSessionLineItemPriceDataParams{
				Currency: stripe.String("eur"), UnitAmount: stripe.Int64(2500),
				ProductData: &stripe.CheckoutSessionLineItemPriceDataProductDataParams{Name: stripe.String("Room")},
			}}},
	})
	require.NoError(w.t, err)
	_, err = w.keep.Pay(w.t.Context(), made.ID)
	require.NoError(w.t, err)
}

// payment adds a payment; facts is SQL.
func (w *world) payment(facts string) {
	w.t.Helper()
	b, err := w.bookings().Hold(w.t.Context(), booking.HoldRequest{
		Resource: "room", Start: time.Now().UTC().Truncate(24 * time.Hour).Add(60 * time.Hour),
		Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
	})
	require.NoError(w.t, err)
	w.exec(`INSERT INTO booking_platform.payments (id, booking_id, amount_minor, currency, parameters, session_expires_at)
		VALUES ('01936f4e-0000-7000-8000-000000000001', $1, 2500, 'eur', '{}', statement_timestamp() + interval '1 hour')`, b.ID)
	w.exec(`UPDATE booking_platform.payments SET ` + facts)
}

// refund adds a payment with a refund.
func (w *world) refund(status string, tries int) {
	w.t.Helper()
	w.payment(`captured_minor = 2500, captured_currency = 'eur', completed = true`)
	w.exec(`INSERT INTO booking_platform.refunds (id, payment_id, cause, amount_minor, currency, status, tries, created_at)
		VALUES ('01936f4e-0000-7000-8000-000000000002', '01936f4e-0000-7000-8000-000000000001', 'cancelled', 2500, 'eur', $1, $2, statement_timestamp() - interval '2 hours')`, status, tries)
}

// event adds an event that is two hours old.
func (w *world) event(outcome, lastError string) {
	w.t.Helper()
	w.exec(`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, reason, last_error, stripe_session_id, received_at)
		VALUES ('host', 'evt_1', 'checkout.session.completed', $1, CASE WHEN $1::text = 'ignored' THEN $2 ELSE '' END, $2, 'cs_1', statement_timestamp() - interval '2 hours')`, outcome, lastError)
}

// blocked leaves a transaction open that another session waits for.
func (w *world) blocked() {
	w.t.Helper()
	const statement = `UPDATE booking_platform.resources SET name = name`
	var open [2]*sql.Tx
	for i := range open {
		tx, err := w.db.BeginTx(context.Background(), nil)
		require.NoError(w.t, err)
		open[i] = tx
	}
	// In this order: a rollback waits for the statement of its transaction.
	w.t.Cleanup(func() { _, _ = open[0].Rollback(), open[1].Rollback() })
	_, err := open[0].Exec(statement)
	require.NoError(w.t, err)
	go func() { _, _ = open[1].Exec(statement) }()
	for blocked := false; !blocked; {
		require.NoError(w.t, w.db.QueryRowContext(w.t.Context(), `
			SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE cardinality(pg_blocking_pids(a.pid)) > 0
				AND a.datname = current_database() AND a.query_start < clock_timestamp() - interval '2 seconds')
			FROM pg_sleep(0.1)`).Scan(&blocked))
	}
}

// counting serves the metrics of a host with one counter of the webhook.
func counting(kind, value string, n int) func(*world) {
	return func(w *world) {
		label := map[string]string{"deliveries": "outcome", "reasons": "reason"}[kind]
		web := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(rw, "# HELP\nbooking_webhook_signatures_total{secret=\"1\"} 0\n"+
				"booking_webhook_%s_total{%s=%q} %d\n", kind, label, value, n)
		}))
		w.t.Cleanup(web.Close)
		w.metrics = strings.TrimPrefix(web.URL, "http://")
	}
}
