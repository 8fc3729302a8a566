package payments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

const checkoutCompleted = "checkout.session.completed"

// A story is a booking with its payment, what happened before, and the suffixes of the
// ids of its checkout.session.completed events.
type story struct {
	name   string
	before func(w *world, b booking.Booking, c payments.Checkout)
	events []string
	change map[string]any
}

func stories() []story {
	none := func(*world, booking.Booking, payments.Checkout) {}
	return []story{
		{"plain", none, []string{""}, nil},
		{"plain again", none, []string{""}, nil},
		{"no payment required", none, []string{""}, map[string]any{"payment_status": "no_payment_required"}},
		{"without an intent", none, []string{""}, map[string]any{"payment_intent": nil}},
		{"currency in capitals", none, []string{""}, map[string]any{"currency": "EUR"}},
		{"two events", none, []string{"", "_twin"}, nil},
		{"delivered twice", none, []string{"", ""}, nil},
		{"wrong amount", none, []string{""}, map[string]any{"amount_total": price - 1}},
		{"wrong currency", none, []string{""}, map[string]any{"currency": "usd"}},
		{"no amount", none, []string{""}, map[string]any{"amount_total": nil}},
		{"not paid yet", none, []string{""}, map[string]any{"payment_status": "unpaid"}},
		{"no such payment", none, []string{""},
			map[string]any{"id": "cs_of_another", "client_reference_id": "cart_42", "metadata": nil}},
		{"hold lapsed", func(w *world, b booking.Booking, _ payments.Checkout) { w.endHold(b.ID) },
			[]string{""}, nil},
		{"hold released", func(w *world, b booking.Booking, _ payments.Checkout) {
			w.exec(`UPDATE booking_platform.bookings SET status = 'expired' WHERE id = $1::uuid`, b.ID)
		}, []string{""}, nil},
		{"cancelled", func(w *world, b booking.Booking, _ payments.Checkout) {
			_, err := w.bookings.Release(w.t.Context(), b.ID)
			require.NoError(w.t, err)
		}, []string{""}, nil},
		{"confirmed by hand", func(w *world, b booking.Booking, _ payments.Checkout) {
			_, err := w.bookings.Confirm(w.t.Context(), b.ID)
			require.NoError(w.t, err)
		}, []string{""}, nil},
		{"session not stored", func(w *world, b booking.Booking, _ payments.Checkout) {
			w.exec(`UPDATE booking_platform.payments SET stripe_session_id = NULL WHERE booking_id = $1::uuid`, b.ID)
		}, []string{""}, nil},
		{"paid already", func(w *world, b booking.Booking, c payments.Checkout) {
			require.Equal(w.t, http.StatusOK, w.send("evt_before_"+b.Reference, checkoutCompleted, session(c, nil)))
		}, []string{""}, nil},
		{"delayed payment failed", func(w *world, b booking.Booking, c payments.Checkout) {
			w.exec(`UPDATE booking_platform.payments SET completed = true, failed = true WHERE booking_id = $1::uuid`,
				b.ID)
		}, []string{""}, nil},
		{"session expired", func(w *world, b booking.Booking, c payments.Checkout) {
			w.exec(`UPDATE booking_platform.payments SET expired = true WHERE booking_id = $1::uuid`, b.ID)
		}, []string{""}, nil},
		{"disputed before", func(w *world, b booking.Booking, c payments.Checkout) {
			w.exec(`UPDATE booking_platform.payments SET disputes = 1, disputes_open = 1 WHERE booking_id = $1::uuid`,
				b.ID)
		}, []string{""}, nil},
		{"refunded before", func(w *world, b booking.Booking, c payments.Checkout) {
			w.exec(`UPDATE booking_platform.payments SET stripe_payment_intent_id = $2 WHERE booking_id = $1::uuid`,
				b.ID, "pi_"+c.SessionID)
			require.Equal(w.t, http.StatusOK, w.send("evt_before_"+b.Reference, "refund.created",
				map[string]any{"id": "re_" + c.SessionID, "object": "refund",
					"payment_intent": "pi_" + c.SessionID, "amount": price, "currency": "eur", "status": "succeeded"}))
		}, []string{""}, nil},
		{"paid by another session", func(w *world, b booking.Booking, c payments.Checkout) {
			w.exec(`UPDATE booking_platform.payments SET expired = true WHERE booking_id = $1::uuid`, b.ID)
			w.exec(`INSERT INTO booking_platform.payments (id, booking_id, stripe_session_id, amount_minor, currency,
				parameters, session_expires_at, completed, captured_minor, captured_currency)
				VALUES (gen_random_uuid(), $1::uuid, $2, 2500, 'eur', '{}', now() + interval '1 hour', true, 2500,
				'eur')`, b.ID, "cs_other_"+b.ID)
			w.exec(`UPDATE booking_platform.payments SET expired = false
				WHERE booking_id = $1::uuid AND captured_minor = 0`, b.ID)
		}, []string{""}, nil},
	}
}

// delivery is an event to deliver.
type delivery struct {
	id      string
	session map[string]any
}

// play creates the stories' bookings and returns their events.
func (w *world) play(all []story) (events []delivery) {
	w.t.Helper()
	for n, s := range all {
		b, err := w.bookings.Hold(w.t.Context(), booking.HoldRequest{Resource: w.resource.ID, Start: slot(n),
			Customer: ada, Reference: fmt.Sprint("story", n)})
		require.NoError(w.t, err)
		c := w.checkout(b)
		s.before(w, b, c)
		for _, suffix := range s.events {
			events = append(events, delivery{fmt.Sprintf("evt_story%d%s", n, suffix), session(c, s.change)})
		}
	}
	return events
}

// state is the outcome of all stories, without random values, times, and which of two
// twins was first.
func (w *world) state() string {
	w.t.Helper()
	var out strings.Builder
	for _, query := range []string{
		`SELECT 'booking', b.reference, b.status, b.sequence FROM booking_platform.bookings b ORDER BY 2`,
		`SELECT 'history', b.reference, h.from_status, h.to_status, replace(h.actor, '_twin', ''), h.reason
			FROM booking_platform.booking_history h JOIN booking_platform.bookings b ON b.id = h.booking_id
			ORDER BY 2, h.id`,
		`SELECT 'payment', b.reference, p.stripe_session_id IS NOT NULL,
			p.stripe_payment_intent_id = 'pi_' || p.stripe_session_id, p.completed, p.failed, p.expired,
			p.parked, p.parked_reason, p.unapplied, p.captured_minor, p.captured_currency, p.refunded_minor,
			p.refund_committed, p.refunds_unknown,
			p.updated_at > p.created_at
			FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id
			ORDER BY 2, p.captured_minor, p.stripe_session_id LIKE 'cs_other%'`,
		`SELECT 'refund', b.reference, r.cause LIKE 'stripe:%', r.amount_minor, r.status FROM booking_platform.refunds r
			JOIN booking_platform.payments p ON p.id = r.payment_id
			JOIN booking_platform.bookings b ON b.id = p.booking_id ORDER BY 2, 3, 4`,
		`SELECT 'event', e.stripe_event_id, e.type, e.api_version, e.account, e.livemode, e.outcome, e.attempts,
			e.last_error, e.payload IS NULL, e.processed_at IS NULL,
			e.created_at IS NULL, e.object_id = e.stripe_session_id, e.stripe_payment_intent_id <> '',
			e.payment_ref <> ''
			FROM booking_platform.payment_events e ORDER BY 2`,
	} {
		rows, err := w.db.Query(`SELECT row_to_json(q)::text FROM (` + query + `) q`)
		require.NoError(w.t, err)
		for rows.Next() {
			var line string
			require.NoError(w.t, rows.Scan(&line))
			out.WriteString(line + "\n")
		}
		require.NoError(w.t, rows.Err())
		require.NoError(w.t, rows.Close())
	}
	return out.String()
}

// settings are the ways in which a plain event may be settled by a statement.
var settings = map[string]setup{
	"read committed":  {},
	"repeatable read": {},
	"serializable":    {hook: webhook.Options{Prepare: true}},
	"payloads kept":   {hook: webhook.Options{KeepPayload: true}},
}

// Settled by one statement each, and several by one in any order, events leave the same
// bookings, histories, payments, refunds and ledger as in transactions of their own, and
// have told the hooks of the same.
func TestEventsPlain_SameAsOneByOne(t *testing.T) {
	t.Parallel()
	all := stories()
	one := newWorld(t, setup{capacity: 3})
	for _, e := range one.play(all) {
		require.Equal(t, http.StatusOK, one.send(e.id, checkoutCompleted, e.session))
	}
	want := one.state()
	for name, s := range settings {
		for _, together := range []bool{false, true} {
			for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
				t.Run(fmt.Sprint(name, together, driver), func(t *testing.T) {
					t.Parallel()
					url := testdb.URL(t)
					if s.hook.Prepare {
						url = testdb.Direct(t, url, "a prepared statement is the session's")
					}
					s := s
					s.db, s.capacity, s.hook.Timeout = testdb.Open(t, driver, url), 3, 100*time.Second
					if strings.HasPrefix(name, "re") || name == "serializable" {
						_, err := s.db.Exec(`DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I
							SET default_transaction_isolation = %L', current_database(), '` + name + `'); END $$`)
						require.NoError(t, err)
						s.db.SetMaxIdleConns(0) // The connection above has the old default.
					}
					s.tellsBookings(t)
					w := newWorld(t, s)
					w.payments.RegisterBatch(w.receiver)
					events := w.play(all)
					if together {
						rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
						w.sendTogether(events)
					} else {
						for _, e := range events {
							require.Equal(t, http.StatusOK, w.send(e.id, checkoutCompleted, e.session))
						}
					}
					got := w.state()
					if s.hook.KeepPayload {
						w.exec(`UPDATE booking_platform.payment_events SET payload = NULL WHERE outcome = 'processed'`)
						require.NotEqual(t, want, got)
						got = w.state()
					}
					require.Equal(t, want, got)
				})
			}
		}
	}
}

// sendTogether delivers events concurrently, several by one statement: the first ones wait
// for a lock on the ledger.
func (w *world) sendTogether(events []delivery) {
	w.t.Helper()
	lock, err := w.db.Begin()
	require.NoError(w.t, err)
	defer func() { _ = lock.Rollback() }()
	_, err = lock.Exec(`LOCK TABLE booking_platform.payment_events IN SHARE MODE`)
	require.NoError(w.t, err)
	var read, answered sync.WaitGroup
	for _, e := range events {
		payload, err := json.Marshal(map[string]any{
			"id": e.id, "object": "event", "type": checkoutCompleted, "api_version": stripetest.APIVersion,
			"created": time.Now().Unix(), "data": map[string]any{"object": e.session},
		})
		require.NoError(w.t, err)
		read.Add(1)
		answered.Go(func() {
			r := httptest.NewRequest(http.MethodPost, "/webhook",
				io.MultiReader(strings.NewReader(string(payload)), &signalAtEnd{done: read.Done}))
			r.Header.Set("Stripe-Signature", stripetest.Sign(payload, webhookSecret, time.Now()))
			rec := httptest.NewRecorder()
			w.receiver.ServeHTTP(rec, r)
			if rec.Code != http.StatusOK {
				w.t.Errorf("%s: %d", e.id, rec.Code)
			}
		})
	}
	read.Wait()
	require.Eventually(w.t, func() bool {
		var waiting int
		err := w.db.QueryRow(`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting >= 2
	}, 20*time.Second, 5*time.Millisecond)
	require.NoError(w.t, lock.Rollback())
	answered.Wait()
	var most int
	require.NoError(w.t, w.db.QueryRow(`SELECT max(n) FROM (SELECT count(*) AS n FROM booking_platform.bookings b
		WHERE b.status = 'confirmed' GROUP BY b.updated_at) AS s`).Scan(&most))
	require.Greater(w.t, most, 1, "several were settled by one statement")
}

// A payment that gets a fact between the statement's look at it and its update undoes the
// statement, and the event is handled alone.
func TestEventsPlain_PaymentChangesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{hook: webhook.Options{Timeout: 100 * time.Second}})
	w.payments.RegisterBatch(w.receiver)
	b := w.hold(0)
	c := w.checkout(b)
	// The statement has looked at the payment when it waits for this claim.
	claim, err := w.db.Begin()
	require.NoError(t, err)
	defer func() { _ = claim.Rollback() }()
	_, err = claim.Exec(`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome)
		VALUES ('default', 'evt_1', 'x', 'processed')`)
	require.NoError(t, err)
	answer := make(chan int, 1)
	go func() { answer <- w.send("evt_1", checkoutCompleted, session(c, nil)) }()
	w.awaitWaiting(1)
	w.exec(`UPDATE booking_platform.payments SET completed = true, failed = true WHERE booking_id = $1::uuid`, b.ID)
	require.NoError(t, claim.Rollback())
	require.Equal(t, http.StatusOK, <-answer)
	require.EqualValues(t, price, w.payment(b.ID).Captured.Minor)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	require.Equal(t, map[string]int{checkoutCompleted + " processed": 1}, w.outcomes())
}

// A booking that another transaction has locked is handled alone, and delays no other.
func TestEventsPlain_LockedBooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 2, hook: webhook.Options{Timeout: 100 * time.Second}})
	w.payments.RegisterBatch(w.receiver)
	locked, free := w.hold(0), w.hold(0)
	lockedCheckout, freeCheckout := w.checkout(locked), w.checkout(free)
	tx, err := w.db.Begin()
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = w.bookings.Tx(tx).Lock(t.Context(), locked.ID)
	require.NoError(t, err)
	answer := make(chan int, 1)
	go func() { answer <- w.send("evt_locked", checkoutCompleted, session(lockedCheckout, nil)) }()
	w.awaitWaiting(1)
	require.Equal(t, http.StatusOK, w.send("evt_free", checkoutCompleted, session(freeCheckout, nil)))
	require.Equal(t, booking.StatusConfirmed, w.status(free.ID))
	require.NoError(t, tx.Rollback())
	require.Equal(t, http.StatusOK, <-answer)
	require.Equal(t, booking.StatusConfirmed, w.status(locked.ID))
}

// With a hook in Go alone, each event has a transaction of its own.
func TestRegisterBatch_HookWithoutSQL(t *testing.T) {
	t.Parallel()
	calls := 0
	for name, s := range map[string]setup{
		"OnTransition": {opts: payments.Options{OnTransition: func(context.Context, payments.Tx,
			payments.Transition) error {
			calls++
			return nil
		}}},
		"OnChange": {bookings: booking.Options{OnChange: func(_ context.Context, _ booking.HookTx,
			c booking.Changed) error {
			if c.To == booking.StatusConfirmed {
				calls++
			}
			return nil
		}}},
	} {
		before := calls
		w := newWorld(t, s)
		w.payments.RegisterBatch(w.receiver)
		c := w.checkout(w.hold(0))
		require.Equal(t, http.StatusOK, w.send("evt_1", checkoutCompleted, session(c, nil)))
		require.Equal(t, before+1, calls, name)
	}
	db := testdb.New(t)
	bookings, err := booking.New(db, booking.Options{})
	require.NoError(t, err)
	_, err = payments.New(db, bookings, secretKey, appURL, payments.Options{OnPaidSQL: "SELECT 1"})
	require.ErrorContains(t, err, "OnPaidSQL requires OnTransition")
}

// signalAtEnd signals when a body has been read.
type signalAtEnd struct {
	once sync.Once
	done func()
}

func (a *signalAtEnd) Read([]byte) (int, error) {
	a.once.Do(a.done)
	return 0, io.EOF
}
