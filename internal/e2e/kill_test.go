package e2e

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// The host is killed when Postgres has committed and the response has not been sent.
// Another host answers the redelivery with 200 duplicate.
func TestHost_KilledAfterCommit(t *testing.T) {
	t.Parallel()
	k := newKill(t, false)
	k.payAndKill(func() {
		eventually(t, "committed", func(context.Context) bool {
			_,
				processed := ledger(t, k.db)
			return processed == 1
		})
	})
	require.Contains(t, k.other.logs(), `"outcome":"duplicate"`)
}

// The host is killed after its handler has run, before COMMIT. Nothing has changed, and
// the redelivery does the work.
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

// kill is a host to be killed, another host, and a booking that waits for its payment.
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

// payAndKill pays, kills the host at its COMMIT, and sends the redelivery to the other
// host. Then there is one effect, and every invariant holds.
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
