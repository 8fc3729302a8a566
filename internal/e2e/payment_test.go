package e2e

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/stretchr/testify/require"
)

// Killed when Postgres has committed and the response has not been sent. Another host
// answers the redelivery with 200 duplicate.
func TestHost_KilledAfterCommit(t *testing.T) {
	t.Parallel()
	k := newKill(t, false)
	k.payAndKill(func() {
		eventually(t, "committed", func(context.Context) bool {
			_, processed := ledger(t, k.db)
			return processed == 1
		})
	})
	require.Contains(t, k.other.logs(), `"outcome":"duplicate"`)
}

// Killed before the commit. The redelivery does the work.
func TestHost_KilledBeforeCommit(t *testing.T) {
	t.Parallel()
	k := newKill(t, true)
	k.payAndKill(func() {
		rows, _ := ledger(t, k.db)
		require.Zero(t, rows)
		var status string
		require.NoError(t, k.db.QueryRow(`SELECT status FROM booking_platform.bookings WHERE id = $1::uuid`,
			k.booking.ID).Scan(&status))
		require.Equal(t, "pending", status)
	})
	require.NotContains(t, k.other.logs(), `"outcome":"duplicate"`)
}

// kill has a host to be killed, another host, and a booking that waits for its payment.
type kill struct {
	t           *testing.T
	db          *sql.DB
	proxy       *dbProxy
	stripe      *stripeWorld
	host, other *host
	booking     created
}

func newKill(t *testing.T, before bool) *kill {
	t.Helper()
	url := testdb.URL(t)
	k := &kill{t: t, db: testdb.Open(t, testdb.PQ, url), stripe: newStripe(t, stripetest.Options{})}
	proxy, proxied := newDBProxy(t, url)
	proxy.before = before
	k.proxy = proxy
	k.host, k.other = startHost(t, k.stripe.env(proxied)), startHost(t, k.stripe.env(url))
	k.stripe.pointAt(k.host)
	ada := newCustomer(t, k.host.base)
	k.booking = ada.book(ada.firstSlot())
	return k
}

// payAndKill kills the host at its commit and sends the redelivery to the other host.
// There is one effect, and every invariant holds.
func (k *kill) payAndKill(meanwhile func()) {
	k.t.Helper()
	k.proxy.armed.Store(true)
	paid := make(chan struct{})
	go func() {
		defer close(paid)
		_, _ = k.stripe.Pay(context.Background(), k.booking.StripeSessionID)
	}()
	select {
	case <-k.proxy.held:
	case <-time.After(30 * time.Second):
		k.t.Fatal("no commit was held")
	}
	meanwhile()
	k.host.kill()
	<-paid
	first := k.stripe.Events()[0].Attempts
	require.NotEmpty(k.t, first)
	require.False(k.t, first[0].OK(), "Stripe has no answer yet")
	k.stripe.pointAt(k.other)
	eventually(k.t, "delivered", func(context.Context) bool { return k.stripe.Events()[0].Delivered })
	requireOnce(k.t, k.db, k.booking.ID)
	broken, err := faults.Broken(k.t.Context(), k.db, faults.TruthOf(k.stripe.Server).ReceivedBy(hostReceiver))
	require.NoError(k.t, err)
	require.Empty(k.t, broken)
}

func days(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format(time.DateOnly) }

func ledger(t *testing.T, db *sql.DB) (rows, processed int) {
	t.Helper()
	require.NoError(t,
		db.QueryRow(`SELECT count(*), count(*) FILTER (WHERE outcome = 'processed') FROM booking_platform.payment_events`).Scan(&rows, &processed))
	return rows, processed
}

// requireOnce: one ledger row and a confirmed booking, however often it was delivered.
func requireOnce(t *testing.T, db *sql.DB, id string) {
	t.Helper()
	rows, processed := ledger(t, db)
	require.Equal(t, []int{1, 1}, []int{rows, processed}, "rows of the ledger, and those processed")
	var status string
	require.NoError(t, db.QueryRow(`SELECT status FROM booking_platform.bookings WHERE id = $1::uuid`,
		id).Scan(&status))
	require.Equal(t, "confirmed", status)
}

// tenTimesAtOnce delivers the first event; each delivery has to be acknowledged.
func tenTimesAtOnce(t *testing.T, stripe *stripeWorld) {
	t.Helper()
	attempts, err := stripe.Resend(t.Context(), stripe.Events()[0].ID, 10)
	require.NoError(t, err)
	require.Len(t, attempts, 10)
	for _, a := range attempts {
		require.Equal(t, http.StatusOK, a.Status)
	}
}

// A new user: no configuration, a booking on the page, the stand-in's payment page,
// "confirmed". Then the host is killed, and its data is there at the next start.
func TestHost_NothingConfigured(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"DATA_DIR":    filepath.Join(t.TempDir(), "data"),
		"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "correct horse battery",
	}
	h := startHost(t, env)
	ada := newCustomer(t, h.base)
	require.Contains(t, ada.get(h.base+"/"), "stand-in")
	b := ada.book(ada.firstSlot())
	require.Contains(t, ada.payOnPage(b.URL), "confirmed")

	admin := newCustomer(t, h.base)
	login := map[string]string{"email": "admin@example.com", "password": "correct horse battery"}
	admin.json(http.MethodPost, "/auth/login", login, http.StatusOK, nil)
	var events struct {
		Items []struct{ Outcome string }
		Meta  struct{ Count int }
	}
	admin.json(http.MethodGet, "/payments", nil, http.StatusOK, &events)
	require.Len(t, events.Items, 1)
	require.Equal(t, "processed", events.Items[0].Outcome)

	h.kill()
	h = startHost(t, env)
	admin = newCustomer(t, h.base)
	admin.json(http.MethodPost, "/auth/login", login, http.StatusOK, nil)
	var found struct{ Status string }
	admin.json(http.MethodGet, "/api/bookings/"+b.ID, nil, http.StatusOK, &found)
	require.Equal(t, "confirmed", found.Status)
	h.stop()
}

func TestWebhook_TenConcurrentDeliveries(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	db := testdb.Open(t, testdb.PQ, url)
	stripe := newStripe(t, stripetest.Options{})
	h := startHost(t, stripe.env(url))
	stripe.pointAt(h)
	ada := newCustomer(t, h.base)
	b := ada.book(ada.firstSlot())
	require.Contains(t, ada.payOnPage(b.URL), "confirmed")
	tenTimesAtOnce(t, stripe)
	requireOnce(t, db, b.ID)
}

// All ten reach the host before one is answered.
func TestWebhook_TenConcurrentFirstDeliveries(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	db := testdb.Open(t, testdb.PQ, url)
	stripe := newStripe(t, stripetest.Options{})
	h := startHost(t, stripe.env(url))
	ada := newCustomer(t, h.base)
	b := ada.book(ada.firstSlot())
	// No host gets the event yet.
	_, err := stripe.Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	stripe.pointAt(h)
	tenTimesAtOnce(t, stripe)
	requireOnce(t, db, b.ID)
}

func TestWebhook_BeforeTheSessionIsStored(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	db := testdb.Open(t, testdb.PQ, url)
	var stripe *stripeWorld
	stripe = newStripe(t, stripetest.Options{OnCreate: func(s stripetest.Session) {
		// Returns when the webhook was answered; only then is the call that makes the
		// session answered.
		if _, err := stripe.Pay(context.Background(), s.ID); err != nil {
			t.Errorf("pay: %v", err)
		}
	}})
	h := startHost(t, stripe.env(url))
	stripe.pointAt(h)
	ada := newCustomer(t, h.base)
	var b created
	ada.json(http.MethodPost, "/api/bookings", map[string]any{
		"start": ada.firstSlot(), "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com",
	}, http.StatusCreated, &b)
	requireOnce(t, db, b.ID)
	require.Equal(t, 200, stripe.Events()[0].Attempts[0].Status, "found its payment at once")
}
