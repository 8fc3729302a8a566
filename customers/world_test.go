package customers_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/customers"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

func TestMain(m *testing.M) {
	testdb.Parallel()
	testdb.Main(m)
}

const (
	webhookSecret = "whsec_customers"
	secretKey     = "sk_test_customers"
)

var (
	augusta = booking.Customer{FirstName: "Augusta", LastName: "Byronova", Email: "Augusta.Byronova@Example.com",
		Phone: "+44 20 7946 0018"}
	// others have addresses that contain that of augusta.
	others = []booking.Customer{
		{FirstName: "Grace", LastName: "Hopper", Email: "x.augusta.byronova@example.com"},
		{FirstName: "Edsger", LastName: "Dijkstra", Email: "augusta.byronova@example.com.au"},
	}
)

// world is all packages on one database, two receivers and a Stripe stand-in.
type world struct {
	t        *testing.T
	db       *sql.DB
	bookings *booking.Store
	payments *payments.Payments
	receiver *webhook.Receiver
	keeping  *webhook.Receiver // another service, which keeps payloads
	users    *auth.UserTable
	messages *notify.Store
	people   *customers.Customers
	stripe   *stripetest.Server
	resource booking.Resource
	broken   error // what the handler of broken.event returns
	nth      int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: testdb.New(t)}
	var err error
	w.bookings, err = booking.New(w.db, booking.Options{OwnerSecrets: []string{strings.Repeat("s", 32)},
		MaxHoldsPerEmail: 100, MaxHoldsPerEmailAnywhere: 200, MaxHoldsPerClient: 1000})
	require.NoError(t, err)
	erased := func(ctx context.Context, q webhook.Querier, ev webhook.Event) (bool, error) {
		return w.payments.IsErased(ctx, q, ev)
	}
	w.receiver, err = webhook.New(w.db, []string{webhookSecret}, webhook.Options{Erased: erased})
	require.NoError(t, err)
	w.keeping, err = webhook.New(w.db, []string{webhookSecret},
		webhook.Options{Erased: erased, Name: "keeping", KeepPayload: true})
	require.NoError(t, err)
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.receiver.ServeHTTP(rw, r)
	}))
	t.Cleanup(hook.Close)
	w.stripe, err = stripetest.New(stripetest.Options{SecretKey: secretKey, WebhookURL: hook.URL,
		WebhookSecret: webhookSecret, Backoff: []time.Duration{100 * time.Millisecond}})
	require.NoError(t, err)
	api := httptest.NewServer(w.stripe)
	t.Cleanup(api.Close)
	w.payments, err = payments.New(w.db, w.bookings, secretKey, "https://booking.example",
		payments.Options{BaseURL: api.URL})
	require.NoError(t, err)
	w.payments.Register(w.receiver)
	w.receiver.Handle("broken.event", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return "", w.broken
	})
	w.keeping.Handle("kept.event", func(context.Context, webhook.Tx, webhook.Event) (webhook.Outcome, error) {
		return webhook.Processed, nil
	})
	w.users, err = auth.NewUsers(w.db, auth.UsersOptions{})
	require.NoError(t, err)
	w.messages, err = notify.New(w.db, notify.Options{})
	require.NoError(t, err)
	w.people, err = customers.New(customers.Parts{Bookings: w.bookings, Payments: w.payments,
		Ledgers: []*webhook.Ledger{w.receiver.Ledger(), w.keeping.Ledger()}, Users: w.users, Messages: w.messages},
		customers.Options{})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.stripe.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	w.resource, err = w.bookings.CreateResource(t.Context(), booking.Resource{
		Slug: "court", Name: "Court", TimeZone: "Europe/Paris", Capacity: 1, SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "eur"},
	})
	require.NoError(t, err)
	return w
}

// hold holds the next free hour from the day after tomorrow. Each text field has the
// customer's name.
func (w *world) hold(c booking.Customer) booking.Booking {
	w.t.Helper()
	w.nth++
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(47+w.nth) * time.Hour)
	b, err := w.bookings.Hold(booking.WithActor(w.t.Context(), "customer"), booking.HoldRequest{
		Resource: w.resource.ID, Start: start, Customer: c, Client: "192.0.2.7",
		IdempotencyKey: fmt.Sprint(c.Email, w.nth), Metadata: map[string]string{"note": "for " + c.LastName},
		Note: "Please call " + c.FirstName,
	})
	require.NoError(w.t, err)
	w.tell(c, b.ID)
	return b
}

// tell enqueues a message about a booking, and one to its customer.
func (w *world) tell(c booking.Customer, id string) {
	w.t.Helper()
	tx, err := w.db.BeginTx(context.WithoutCancel(w.t.Context()), nil)
	require.NoError(w.t, err)
	for _, d := range []notify.Draft{
		{Kind: "about", Reference: id, Data: map[string]string{"name": c.LastName}},
		{Kind: "to", Reference: "newsletter", Occurrence: id, Recipient: c.Email},
	} {
		_, err := w.messages.Enqueue(w.t.Context(), tx, d)
		require.NoError(w.t, err)
	}
	require.NoError(w.t, tx.Commit())
}

func (w *world) checkout(b booking.Booking) payments.Checkout {
	w.t.Helper()
	c, err := w.payments.Checkout(w.t.Context(), b.ID)
	require.NoError(w.t, err)
	return c
}

// paid holds and pays.
func (w *world) paid(c booking.Customer) (booking.Booking, payments.Checkout) {
	w.t.Helper()
	b := w.hold(c)
	checkout := w.checkout(b)
	_, err := w.stripe.Pay(w.t.Context(), checkout.SessionID)
	require.NoError(w.t, err)
	w.settle()
	return b, checkout
}

// settle runs the steps until nothing is left.
func (w *world) settle() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for n := 1; n > 0; {
		require.NoError(w.t, w.stripe.WaitDelivered(ctx))
		w.exec(`UPDATE booking_platform.refunds SET next_try_at = statement_timestamp() WHERE status = 'due'`)
		n = 0
		for _, step := range []func(context.Context) (int, error){
			w.bookings.ReleaseExpired, w.payments.ExpireSessions, w.payments.SettleRefunds, w.payments.RefreshRefunds,
		} {
			one, err := step(ctx)
			require.NoError(w.t, err)
			n += one
		}
	}
	require.NoError(w.t, w.stripe.WaitDelivered(ctx))
}

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	_, err := w.db.ExecContext(w.t.Context(), query, args...)
	require.NoError(w.t, err)
}

func (w *world) past(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.exec(`UPDATE booking_platform.bookings SET
			during = tstzrange(lower(during) - interval '365 days', upper(during) - interval '365 days', '[)'),
			blocked = tstzrange(lower(blocked) - interval '365 days', upper(blocked) - interval '365 days', '[)')
			WHERE id = $1::uuid`, id)
	}
}

// expire lets a hold end.
func (w *world) expire(b booking.Booking) {
	w.t.Helper()
	w.exec(`UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() - interval '1 second'
		WHERE id = $1::uuid`, b.ID)
	w.exec(`UPDATE booking_platform.hold_deadlines SET due_at = statement_timestamp() - interval '1 second'
		WHERE booking_id = $1::uuid`, b.ID)
	w.settle()
}

func (w *world) deliver(r http.Handler, id, eventType string, object map[string]any) int {
	w.t.Helper()
	payload, err := json.Marshal(map[string]any{
		"id": id, "object": "event", "type": eventType, "api_version": stripetest.APIVersion,
		"created": time.Now().Unix(), "data": map[string]any{"object": object},
	})
	require.NoError(w.t, err)
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/webhook", bytes.NewReader(payload))
	req.Header.Set("Stripe-Signature", stripetest.Sign(payload, webhookSecret, time.Now()))
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	return rec.Code
}

func charge(c booking.Customer, intent string) map[string]any {
	name := c.FirstName + " " + c.LastName
	return map[string]any{
		"id": "ch_" + intent, "object": "charge", "amount": 2500, "currency": "eur", "payment_intent": intent,
		"description": "One hour for " + name, "receipt_email": strings.ToUpper(c.Email),
		"receipt_url": "https://pay.stripe.com/receipts/" + c.LastName,
		"billing_details": map[string]any{"name": name, "email": c.Email, "phone": c.Phone,
			"address": map[string]any{"line1": "12 St James's Square, " + c.LastName, "country": "GB"}},
		"payment_method_details": map[string]any{"type": "card", "card": map[string]any{"last4": "4242", "name": name}},
		"shipping":               map[string]any{"name": c.LastName},
		"metadata":               map[string]any{"who": name + " (" + c.Email + ")"},
	}
}

func (w *world) intentOf(c payments.Checkout) string {
	w.t.Helper()
	pay, err := w.payments.Get(w.t.Context(), c.PaymentID)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, pay.PaymentIntentID)
	return pay.PaymentIntentID
}

func (w *world) tables() (names []string) {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), `SELECT relname FROM pg_class c JOIN pg_namespace n
		ON n.oid = c.relnamespace WHERE n.nspname = 'booking_platform' AND c.relkind IN ('r', 'p') ORDER BY relname`)
	require.NoError(w.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(w.t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(w.t, rows.Err())
	require.Contains(w.t, names, "bookings")
	return names
}

// traces returns the rows of all tables with the customer's name or address in any case,
// as text or bytes, or the hash of the address.
func (w *world) traces(c booking.Customer) (found []string) {
	w.t.Helper()
	var needles []string
	for _, text := range []string{c.FirstName, c.LastName, c.Email, c.Phone} {
		for _, form := range []string{text, strings.ToLower(text), strings.ToUpper(text)} {
			needles = append(needles, strings.ToLower(form), hex.EncodeToString([]byte(form)))
		}
	}
	sum := sha256.Sum256([]byte(strings.ToLower(c.Email)))
	needles = append(needles, hex.EncodeToString(sum[:]))
	for _, table := range w.tables() {
		rows, err := w.db.QueryContext(w.t.Context(), `SELECT t::text FROM booking_platform.`+table+` t`)
		require.NoError(w.t, err)
		for rows.Next() {
			var row string
			require.NoError(w.t, rows.Scan(&row))
			text := strings.ToLower(row)
			for _, other := range others {
				text = strings.ReplaceAll(text, strings.ToLower(other.Email), "")
			}
			for _, needle := range needles {
				if strings.Contains(text, needle) {
					found = append(found, table+": "+row)
					break
				}
			}
		}
		require.NoError(w.t, rows.Err())
		require.NoError(w.t, rows.Close())
	}
	return found
}

// rowsOf returns bookings with everything that belongs to them, except actors.
func (w *world) rowsOf(ids ...string) (all []string) {
	w.t.Helper()
	for _, id := range ids {
		for _, query := range []string{
			`SELECT t::text FROM booking_platform.bookings t WHERE id = $1::uuid`,
			`SELECT t::text FROM booking_platform.payments t WHERE booking_id = $1::uuid ORDER BY id`,
			`SELECT (t.id, t.cause, t.reason, t.amount_minor, t.status)::text FROM booking_platform.refunds t
				JOIN booking_platform.payments p ON p.id = t.payment_id WHERE booking_id = $1::uuid ORDER BY t.id`,
			`SELECT (t.at, t.to_status, t.reason)::text FROM booking_platform.booking_history t
				WHERE booking_id = $1::uuid ORDER BY id`,
			`SELECT t::text FROM booking_platform.hold_quota t WHERE booking_id = $1::uuid ORDER BY key, number`,
		} {
			rows, err := w.db.QueryContext(w.t.Context(), query, id)
			require.NoError(w.t, err)
			for rows.Next() {
				var row string
				require.NoError(w.t, rows.Scan(&row))
				all = append(all, row)
			}
			require.NoError(w.t, rows.Err())
			require.NoError(w.t, rows.Close())
		}
	}
	return all
}
