package faults_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// Reconciliation settles every payment.
func TestSession_EventsLost(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]setup{
		"lost":       {undelivered: true},
		"never made": {stripe: stripetest.Options{NeverMade: func(stripetest.Event) bool { return true }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, s)
			paid, paidCheckout := w.checkedOut(0)
			delayed, delayedCheckout := w.checkedOut(1)
			refused, refusedCheckout := w.checkedOut(2)
			left, leftCheckout := w.checkedOut(3)
			late, lateCheckout := w.checkedOut(4)
			w.release(late)
			other, otherCheckout := w.checkedOut(4)
			for _, c := range []payments.Checkout{paidCheckout, lateCheckout, otherCheckout} {
				w.pay(c)
			}
			for _, c := range []payments.Checkout{delayedCheckout, refusedCheckout} {
				_, err := w.stripe.PayDelayed(t.Context(), c.SessionID)
				require.NoError(t, err)
			}
			_, err := w.stripe.SettlePayment(delayedCheckout.SessionID)
			require.NoError(t, err)
			_, err = w.stripe.FailPayment(refusedCheckout.SessionID)
			require.NoError(t, err)
			_, err = w.stripe.Expire(leftCheckout.SessionID)
			require.NoError(t, err)
			w.exec(`UPDATE booking_platform.payments
				SET session_expires_at = statement_timestamp() - interval '1 second'`)
			var all sync.WaitGroup
			settled := make([]int, len(w.hosts))
			for i, h := range w.hosts {
				all.Go(func() {
					var err error
					if settled[i], err = h.payments.ReconcilePayments(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			require.Equal(t, 6, settled[0]+settled[1]+settled[2])
			w.settle()
			for b, want := range map[*booking.Booking]struct {
				booking booking.Status
				payment payments.Status
			}{
				&paid:    {booking.StatusConfirmed, payments.StatusPaid},
				&delayed: {booking.StatusConfirmed, payments.StatusPaid},
				&other:   {booking.StatusConfirmed, payments.StatusPaid},
				&refused: {booking.StatusExpired, payments.StatusFailed},
				&left:    {booking.StatusExpired, payments.StatusExpired},
				&late:    {booking.StatusExpired, payments.StatusRefunded},
			} {
				require.Equal(t, want.booking, w.status(*b))
				require.Equal(t, want.payment, w.payment(*b).Status())
			}
			truth := w.truth()
			require.Empty(t, truth.Answered, "no event was delivered")
			w.faultOccurred(len(truth.Charges))
			w.checkInvariants()
		})
	}
}

func TestSession_PaidAfterSlotSoldAgain(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	late, c := w.checkedOut(0)
	w.release(late)
	other, otherPayment := w.paid(0)
	w.pay(c)
	w.settle()
	p := w.payment(late)
	require.Equal(t, payments.StatusRefunded, p.Status())
	require.Equal(t, payments.ReasonLate, p.Unapplied)
	w.faultOccurred(1)
	require.Len(t, w.refunds(p), 1)
	require.EqualValues(t, price, w.refunds(p)[0].Amount.Minor)
	require.Equal(t, otherPayment, w.payment(other))
	require.Equal(t, booking.StatusExpired, w.status(late))
	w.requireOneEffect(other)
	w.checkInvariants()
}

// The stand-in refuses to expire the session. The payment wins.
func TestSession_PaidWhileExpiring(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.endHold(b)
	w.pay(c)
	n, err := w.hosts[0].payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	w.faultOccurred(w.called("POST /v1/checkout/sessions/"+c.SessionID+"/expire", http.StatusBadRequest))
	_, err = w.hosts[1].bookings.ReleaseExpired(t.Context())
	require.NoError(t, err)
	_, err = w.hosts[2].bookings.Hold(t.Context(),
		booking.HoldRequest{Resource: w.resource.ID, Start: b.Start, Customer: ada})
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	w.requireOneEffect(b)
	require.Equal(t, done(webhook.Processed), w.deliver(1, w.event(c, completed).Payload), "its event arrives late")
	w.requireOneEffect(b)
	w.checkInvariants()
}

func TestSession_AmountOrCurrencyDiffers(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	for nth, change := range []string{`amount_minor = amount_minor + 1`, `amount_minor = amount_minor - 1`,
		`currency = 'usd'`} {
		b, c := w.checkedOut(nth)
		// Our amount differs from the one at Stripe.
		w.exec(`UPDATE booking_platform.payments SET `+change+` WHERE id = $1::uuid`, c.PaymentID)
		w.pay(c)
		require.Equal(t, booking.StatusPending, w.status(b), "never confirmed")
		p := w.payment(b)
		require.Equal(t, payments.StatusParked, p.Status())
		require.Equal(t, payments.ReasonAmount, p.ParkedReason)
		require.Equal(t, booking.Money{Minor: price, Currency: "eur"}, p.Captured)
		require.Equal(t, webhook.Parked, w.outcome(w.event(c, completed).ID))
		w.faultOccurred(1)
	}
	w.checkInvariants()
}

// Without events reconciliation parks the payment and records it; later events change
// nothing.
func TestSession_AmountDiffersEventsLost(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true})
	b, c := w.checkedOut(0)
	w.exec(`UPDATE booking_platform.payments SET amount_minor = amount_minor + 1 WHERE id = $1::uuid`, c.PaymentID)
	w.pay(c)
	require.True(t, w.payment(b).ReconciledAt.IsZero())
	_, err := w.hosts[0].payments.RefreshSession(t.Context(), c.SessionID)
	require.NoError(t, err)
	p := w.payment(b)
	require.Equal(t, payments.StatusParked, p.Status())
	require.False(t, p.ReconciledAt.IsZero())
	require.Equal(t, booking.StatusPending, w.status(b), "never confirmed")
	_, err = w.hosts[1].payments.RefreshSession(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.Equal(t, p, w.payment(b), "a second reconciliation changes nothing")
	w.faultOccurred(1)
	w.checkInvariants()

	w.exec(`UPDATE booking_platform.payments SET asked_at = NULL WHERE id = $1::uuid`, c.PaymentID)
	broken, err := faults.Broken(t.Context(), w.db, w.truth())
	require.NoError(t, err)
	require.Len(t, broken, 1)
	require.Equal(t, 5, broken[0].Invariant.Number, "without the record the payment is unexplained")
	require.Equal(t, done(webhook.Parked), w.deliver(2, w.event(c, completed).Payload),
		"its event arrives late, and explains the payment too")
	p.ReconciledAt = time.Time{}
	p.UpdatedAt = w.payment(b).UpdatedAt
	require.Equal(t, p, w.payment(b))
	w.checkInvariants()
}

// An error 500 or a reset on the way back: the same idempotency key makes one object
// there.
func TestSession_CallFailsAfterSucceedingAtStripe(t *testing.T) {
	t.Parallel()
	for _, kind := range []stripetest.FaultKind{stripetest.FailAfter, stripetest.ResetAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, setup{})
			// Both stripe-go and net/http retry.
			fault := func(path string) *stripetest.Fault {
				return w.stripe.Fault(func(r *http.Request) bool {
					return r.Method == http.MethodPost &&
						strings.HasSuffix(r.URL.Path, path)
				}, kind, 20)
			}
			b := w.hold(0)
			session := fault("/v1/checkout/sessions")
			_, err := w.hosts[0].payments.Checkout(t.Context(), b.ID)
			require.ErrorIs(t, err, payments.ErrUnavailable)
			require.Positive(t, session.Fired())
			session.Release()
			w.requireUnapplied(b)
			c := w.checkout(b)
			require.Len(t, w.stripe.Sessions(), 1)
			w.pay(c)
			w.requireOneEffect(b)

			_, err = w.hosts[0].payments.Refund(t.Context(),
				payments.RefundRequest{PaymentID: c.PaymentID, Cause: "rain"})
			require.NoError(t, err)
			refund := fault("/v1/refunds")
			_, err = w.hosts[0].payments.SettleRefunds(t.Context())
			require.ErrorIs(t, err, payments.ErrUnavailable)
			require.Positive(t, refund.Fired())
			w.faultOccurred(session.Fired() + refund.Fired())
			refund.Release()
			w.checkInvariants()
			require.Len(t, w.stripe.Refunds(), 1)
			require.Len(t, w.refunds(w.payment(b)), 1)
			require.Equal(t, payments.StatusRefunded, w.payment(b).Status())
		})
	}
}

// One confirms, the other is refunded in full.
func TestSession_BothSessionsPaid(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{})
	b, first := w.checkedOut(0)
	// Abandoned by us, yet paid.
	w.exec(`UPDATE booking_platform.payments SET failed = true WHERE id = $1::uuid`, first.PaymentID)
	second := w.checkout(b)
	require.NotEqual(t, first.SessionID, second.SessionID)
	// Both deliveries wait for the booking, and the second has to see what the first did.
	tx := w.transaction()
	w.lock(tx, lockBooking, b.ID)
	var all sync.WaitGroup
	for _, c := range []payments.Checkout{first, second} {
		all.Go(func() { _, _ = w.stripe.Pay(t.Context(), c.SessionID) })
	}
	w.awaitWaiting(2)
	w.faultOccurred(1)
	require.NoError(t, tx.Commit())
	all.Wait()
	w.settle()
	w.requireOneEffect(b)
	var twice int
	require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT count(*) FROM booking_platform.payments p
		WHERE p.booking_id = $1::uuid AND p.unapplied = $2 AND p.refunded_minor = p.captured_minor`, b.ID,
		payments.ReasonPaidTwice).Scan(&twice))
	require.Equal(t, 1, twice)
	require.Equal(t, stripetest.Money{Captured: 2 * price, Refunded: price}, w.stripe.Balance()["eur"])
	w.checkInvariants()
}

// A payment's event, the release of its hold and a second customer's hold meet at one
// slot. The booking is confirmed or the payment refunded in full, never neither. Both
// have to occur, so there are 200 races: three in ten end with a confirmation.
func TestRace_PaymentAtTheHoldsLastMoment(t *testing.T) {
	t.Parallel()
	const races, workers = 200, 8
	w := newEnv(t, setup{undelivered: true, pool: 8, webhook: webhook.Options{Prepare: true}})
	var next, secondGot atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := int(next.Add(1)); n <= races && !t.Failed(); n = int(next.Add(1)) {
				if w.race(n) {
					secondGot.Add(1)
				}
			}
		})
	}
	all.Wait()
	w.settle()

	var confirmed, refunded int
	require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT count(*) FILTER (WHERE b.status = 'confirmed'
		AND p.unapplied = '' AND p.refunded_minor = 0),
		count(*) FILTER (WHERE b.status = 'expired' AND p.unapplied <> '' AND p.refunded_minor = p.captured_minor)
		FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id`).Scan(&confirmed,
		&refunded))
	t.Logf("%d payments: %d confirmed, %d refunded", races, confirmed, refunded)
	require.Equal(t, races, confirmed+refunded)
	require.EqualValues(t, refunded, secondGot.Load(),
		"the second customer gets the slot exactly where the first was refunded")
	require.Positive(t, confirmed)
	require.Positive(t, refunded)
	require.Equal(t, stripetest.Money{Captured: races * price, Refunded: int64(refunded) * price},
		w.stripe.Balance()["eur"])
	w.faultOccurred(min(confirmed, refunded))
	w.checkInvariants()
}

func (w *testEnv) race(n int) bool {
	b, c := w.checkedOut(n)
	w.pay(c)
	payload := w.eventsOf(c.SessionID)[0].Payload
	w.endHold(b)
	var all sync.WaitGroup
	all.Go(func() {
		if a := w.deliver(n, payload); a.Status != 200 {
			w.t.Error(a)
		}
	})
	all.Go(func() {
		if _, err := w.hosts[(n+1)%3].bookings.ReleaseExpired(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	})
	var err error
	all.Go(func() {
		_, err = w.hosts[(n+2)%3].bookings.Hold(w.t.Context(),
			booking.HoldRequest{Resource: w.resource.ID, Start: slot(n), Customer: ada})
	})
	all.Wait()
	if err != nil && !errors.Is(err, booking.ErrSlotTaken) {
		w.t.Error(err)
	}
	return err == nil
}

// link is the network between a host and Postgres: a test inspects, delays, and loses
// answers.
type link struct {
	mu    sync.Mutex
	watch func(c *linked, sent []byte)
}

type linked struct {
	net.Conn
	link *link
	// ledger: the current transaction has touched the ledger. Only the writer uses it.
	ledger bool
	// lose breaks the connection in place of the next answer.
	lose atomic.Bool
}

func (l *link) set(watch func(c *linked, sent []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch = watch
}

func (l *link) Dial(network, address string) (net.Conn, error) {
	return l.DialTimeout(network, address, 30*time.Second)
}

func (l *link) DialTimeout(network, address string, limit time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, limit)
	if err != nil {
		return nil, err
	}
	return &linked{Conn: c, link: l}, nil
}

func (l *link) open(t *testing.T, url string) *sql.DB {
	t.Helper()
	connector, err := pq.NewConnector(url)
	require.NoError(t, err)
	connector.Dialer(l)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (c *linked) Write(b []byte) (int, error) {
	c.ledger = c.ledger || bytes.Contains(b, []byte("payment_events"))
	c.link.mu.Lock()
	watch := c.link.watch
	c.link.mu.Unlock()
	if watch != nil {
		watch(c, b)
	}
	if bytes.Contains(b, []byte("COMMIT")) || bytes.Contains(b, []byte("ROLLBACK")) {
		c.ledger = false
	}
	return c.Conn.Write(b)
}

// The answer is lost after it has come, so Postgres has executed the statement.
func (c *linked) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.Load() {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
