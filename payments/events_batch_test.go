package payments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
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

// A batch, in any order, leaves the same bookings, histories, payments, refunds and
// ledger as its events one by one.
func TestEventsBatch_SameAsOneByOne(t *testing.T) {
	t.Parallel()
	all := stories()
	one := newWorld(t, setup{capacity: 3})
	for _, e := range one.play(all) {
		require.Equal(t, http.StatusOK, one.send(e.id, checkoutCompleted, e.session))
	}
	want := one.state()
	for run := range 3 {
		t.Run(fmt.Sprint(run), func(t *testing.T) {
			t.Parallel()
			s := setup{capacity: 3}
			s.tellsBookings(t)
			w := newWorld(t, s)
			taken := w.handleBatch()
			events := w.play(all)
			rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			w.sendConcurrently(events, taken)
			require.Equal(t, want, w.state())
		})
	}
}

// batches records a receiver's batches, the first two of which wait.
type batches struct {
	release chan struct{}
	mu      sync.Mutex
	taken   [][2]int
}

// handleBatch is RegisterBatch, but the first two batches wait for release.
func (w *world) handleBatch() *batches {
	taken := &batches{release: make(chan struct{})}
	w.receiver.HandleBatch(checkoutCompleted,
		func(ctx context.Context, tx webhook.Tx, events []webhook.BatchEvent) ([]string, error) {
			select {
			case <-taken.release:
			case <-ctx.Done():
			}
			settled, err := payments.CompletedBatch(w.payments, ctx, tx, events)
			taken.mu.Lock()
			defer taken.mu.Unlock()
			taken.taken = append(taken.taken, [2]int{len(events), len(settled)})
			return settled, err
		})
	return taken
}

// sendConcurrently delivers events concurrently.
func (w *world) sendConcurrently(events []delivery, taken *batches) {
	w.t.Helper()
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
	close(taken.release)
	answered.Wait()
	most := slices.MaxFunc(taken.taken, func(a, b [2]int) int { return a[1] - b[1] })
	require.Greater(w.t, most[1], 1, "several were settled together: %v", taken.taken)
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
