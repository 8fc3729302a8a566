package payments_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestMain(m *testing.M) {
	testdb.Parallel()
	testdb.Main(m)
}

const (
	secretKey     = "sk_test_payments"
	webhookSecret = "whsec_payments"
	appURL        = "https://booking.example"
	price         = 2500
)

var ada = booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"}

// world is the whole path with Postgres, and receiver and Stripe stand-in over HTTP.
type world struct {
	t        testing.TB
	db       *sql.DB
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
	stripe   *stripetest.Server
	hook     string
	api      string
	resource booking.Resource
}

type setup struct {
	db       *sql.DB
	stripe   stripetest.Options
	opts     payments.Options
	bookings booking.Options
	hook     webhook.Options
	wrap     func(http.Handler) http.Handler
	price    int64
	capacity int
	secrets  []string
}

func newWorld(t testing.TB, s setup) *world {
	t.Helper()
	w := &world{t: t, db: s.db}
	if w.db == nil {
		w.db = testdb.New(t)
	}
	var err error
	s.bookings.OwnerSecrets = s.secrets
	w.bookings, err = booking.New(w.db, s.bookings)
	require.NoError(t, err)
	w.receiver, err = webhook.New(w.db, []string{webhookSecret}, s.hook)
	require.NoError(t, err)
	hook := httptest.NewServer(w.receiver)
	t.Cleanup(hook.Close)
	w.hook = hook.URL

	s.stripe.SecretKey, s.stripe.WebhookURL, s.stripe.WebhookSecret = secretKey, hook.URL, webhookSecret
	w.stripe, err = stripetest.New(s.stripe)
	require.NoError(t, err)
	var handler http.Handler = w.stripe
	if s.wrap != nil {
		handler = s.wrap(handler)
	}
	api := httptest.NewServer(handler)
	t.Cleanup(api.Close)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.stripe.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })

	w.api, s.opts.BaseURL = api.URL, api.URL
	w.payments, err = payments.New(w.db, w.bookings, secretKey, appURL, s.opts)
	require.NoError(t, err)
	w.payments.Register(w.receiver)
	if s.price == 0 {
		s.price = price
	}
	w.resource = w.newResource("room", s.price, max(s.capacity, 1))
	return w
}

func (w *world) newResource(slug string, price int64, capacity int) booking.Resource {
	w.t.Helper()
	r, err := w.bookings.CreateResource(w.t.Context(), booking.Resource{
		Slug: slug, Name: "Room", TimeZone: "Europe/Paris", Capacity: capacity, SlotLength: time.Hour,
		Price: booking.Money{Minor: max(price, 0), Currency: "eur"},
	})
	require.NoError(w.t, err)
	return r
}

const toldOtherwise = `
WITH told AS (
    SELECT t.id, t.at, t.was, t.is_now, t.actor, t.reason FROM told t
), recorded AS (
    SELECT h.booking_id, h.at, h.from_status, h.to_status, h.actor, h.reason FROM booking_platform.booking_history h
    WHERE h.from_status <> h.to_status OR h.from_start IS NOT NULL
)
SELECT count(*) FROM (
    (TABLE told EXCEPT ALL TABLE recorded) UNION ALL (TABLE recorded EXCEPT ALL TABLE told)
) AS differ`

// tellsBookings checks, at the end of the test, that booking.Options.OnChange was called
// once for whatever was done to bookings.
func (s *setup) tellsBookings(t *testing.T) {
	t.Helper()
	if s.db == nil {
		s.db = testdb.New(t)
	}
	_, err := s.db.Exec(`CREATE TABLE told (id uuid, at timestamptz, was text, is_now text, actor text, reason text)`)
	require.NoError(t, err)
	s.bookings.OnChange = func(ctx context.Context, tx booking.HookTx, c booking.Changed) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO told VALUES ($1, $2, $3, $4, $5, $6)`, c.After.ID, c.At, string(c.From),
			string(c.To), c.Actor, c.Reason)
		return err
	}
	s.bookings.OnConfirmSQL = `INSERT INTO told
		SELECT c.booking_id, c.at, 'pending', 'confirmed', c.actor, '' FROM confirmed c`
	t.Cleanup(func() {
		var otherwise int
		require.NoError(t, s.db.QueryRow(toldOtherwise).Scan(&otherwise))
		require.Zero(t, otherwise)
	})
}

// hold holds the nth hour from the day after tomorrow.
func (w *world) hold(nth int) booking.Booking {
	w.t.Helper()
	b, err := w.bookings.Hold(w.t.Context(), booking.HoldRequest{
		Resource: w.resource.ID, Start: slot(nth), Customer: ada,
	})
	require.NoError(w.t, err)
	return b
}

func slot(nth int) time.Time {
	return time.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(48+nth) * time.Hour)
}

func (w *world) checkout(b booking.Booking) payments.Checkout {
	w.t.Helper()
	c, err := w.payments.Checkout(w.t.Context(), b.ID)
	require.NoError(w.t, err)
	return c
}

func refreshSession(ctx context.Context, p *payments.Payments, sessionID string) error {
	_, err := p.RefreshSession(ctx, sessionID)
	return err
}

func (w *world) pay(c payments.Checkout) {
	w.t.Helper()
	_, err := w.stripe.Pay(w.t.Context(), c.SessionID)
	require.NoError(w.t, err)
}

func (w *world) status(id string) booking.Status {
	w.t.Helper()
	b, err := w.bookings.Get(w.t.Context(), id)
	require.NoError(w.t, err)
	return b.Status
}

func (w *world) payment(bookingID string) payments.Payment {
	w.t.Helper()
	p, err := w.payments.ForBooking(w.t.Context(), bookingID)
	require.NoError(w.t, err)
	return p
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.Exec(query, args...)
	require.NoError(w.t, err)
}

func (w *world) endHold(id string) {
	w.exec(`UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() - interval '1 second'
		WHERE id = $1::uuid`, id)
	w.exec(`UPDATE booking_platform.hold_deadlines SET due_at = statement_timestamp() - interval '1 second'
		WHERE booking_id = $1::uuid`, id)
}

func (w *world) outcomes() map[string]int {
	w.t.Helper()
	entries, err := webhook.NewLedger(w.db, "").List(w.t.Context(), webhook.ListOptions{Limit: 500})
	require.NoError(w.t, err)
	out := map[string]int{}
	for _, e := range entries {
		out[e.Type+" "+string(e.Outcome)]++
	}
	return out
}

func (w *world) send(id, eventType string, session map[string]any) int {
	w.t.Helper()
	payload, err := json.Marshal(map[string]any{
		"id": id, "object": "event", "type": eventType, "api_version": stripetest.APIVersion,
		"created": time.Now().Unix(), "data": map[string]any{"object": session},
	})
	require.NoError(w.t, err)
	return w.sendRaw(payload)
}

// sendRaw delivers a signed payload without a connection, thousands of times in some
// tests; the stand-in delivers over HTTP.
func (w *world) sendRaw(payload []byte) int {
	w.t.Helper()
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, w.hook, bytes.NewReader(payload))
	req.Header.Set("Stripe-Signature", stripetest.Sign(payload, webhookSecret, time.Now()))
	rec := httptest.NewRecorder()
	w.receiver.ServeHTTP(rec, req)
	return rec.Code
}

// session is paid, with changes.
func session(c payments.Checkout, changes map[string]any) map[string]any {
	s := map[string]any{
		"id": c.SessionID, "object": "checkout.session", "status": "complete", "payment_status": "paid",
		"amount_total": price, "currency": "eur", "payment_intent": "pi_" + c.SessionID,
		"client_reference_id": c.PaymentID, "metadata": map[string]string{"payment_id": c.PaymentID},
	}
	for k, v := range changes {
		s[k] = v
	}
	return s
}

func (w *world) awaitWaiting(n int) {
	w.t.Helper()
	require.Eventually(w.t, func() bool {
		var waiting int
		err := w.db.QueryRow(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == n
	}, 10*time.Second, 10*time.Millisecond)
}
