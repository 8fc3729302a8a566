package faults_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

const completed = "checkout.session.completed"

func slot(nth int) time.Time {
	return time.Now().UTC().Truncate(24 * time.Hour).Add(time.Duration(48+nth) * time.Hour)
}

// hold is of the nth hour of the day after tomorrow.
func (w *testEnv) hold(nth int) booking.Booking {
	w.t.Helper()
	b, err := w.hosts[nth%len(w.hosts)].bookings.Hold(w.t.Context(),
		booking.HoldRequest{Resource: w.resource.ID, Start: slot(nth), Customer: ada})
	require.NoError(w.t, err)
	return b
}

func (w *testEnv) checkout(b booking.Booking) payments.Checkout {
	w.t.Helper()
	c, err := w.hosts[0].payments.Checkout(w.t.Context(), b.ID)
	require.NoError(w.t, err)
	return c
}

func (w *testEnv) checkedOut(nth int) (booking.Booking, payments.Checkout) {
	w.t.Helper()
	b := w.hold(nth)
	return b, w.checkout(b)
}

func (w *testEnv) pay(c payments.Checkout) {
	w.t.Helper()
	_, err := w.stripe.Pay(w.t.Context(), c.SessionID)
	require.NoError(w.t, err)
}

func (w *testEnv) paid(nth int) (booking.Booking, payments.Payment) {
	w.t.Helper()
	b, c := w.checkedOut(nth)
	w.pay(c)
	require.Equal(w.t, booking.StatusConfirmed, w.status(b))
	return b, w.payment(b)
}

func (w *testEnv) status(b booking.Booking) booking.Status {
	w.t.Helper()
	found, err := w.hosts[0].bookings.Get(w.t.Context(), b.ID)
	require.NoError(w.t, err)
	return found.Status
}

func (w *testEnv) payment(b booking.Booking) payments.Payment {
	w.t.Helper()
	p, err := w.hosts[0].payments.ForBooking(w.t.Context(), b.ID)
	require.NoError(w.t, err)
	return p
}

func (w *testEnv) refunds(p payments.Payment) []payments.Refund {
	w.t.Helper()
	refunds, err := w.hosts[0].payments.Refunds(w.t.Context(), p.ID)
	require.NoError(w.t, err)
	return refunds
}

func (w *testEnv) endHold(b booking.Booking) {
	w.t.Helper()
	w.exec(`WITH due AS (UPDATE booking_platform.hold_deadlines
		SET due_at = statement_timestamp() - interval '1 second' WHERE booking_id = $1::uuid)
		UPDATE booking_platform.bookings SET hold_expires_at = statement_timestamp() - interval '1 second'
			WHERE id = $1::uuid`, b.ID)
}

func (w *testEnv) release(b booking.Booking) {
	w.t.Helper()
	w.endHold(b)
	_, err := w.hosts[0].bookings.ReleaseExpired(w.t.Context())
	require.NoError(w.t, err)
	require.Equal(w.t, booking.StatusExpired, w.status(b))
}

func (w *testEnv) event(c payments.Checkout, eventType string) stripetest.Event {
	w.t.Helper()
	var found []stripetest.Event
	for _, e := range w.stripe.Events() {
		if e.SessionID == c.SessionID && e.Type == eventType {
			found = append(found, e)
		}
	}
	require.Len(w.t, found, 1)
	return found[0]
}

type answer struct {
	Status  int
	Outcome webhook.Outcome `json:"outcome"`
	Error   string          `json:"error"`
}

func done(outcome webhook.Outcome) answer { return answer{Status: http.StatusOK, Outcome: outcome} }

var failed = answer{Status: http.StatusInternalServerError, Error: "internal"}

// deliver signs a payload for one of the hosts. Safe for concurrent use.
func (w *testEnv) deliver(to int, payload []byte) answer {
	w.t.Helper()
	return w.send(to, payload, stripetest.Sign(payload, webhookSecret, time.Now()))
}

func (w *testEnv) send(to int, payload []byte, signature string) answer {
	w.t.Helper()
	req := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/webhook", bytes.NewReader(payload))
	req.Header.Set("Stripe-Signature", signature)
	rw := httptest.NewRecorder()
	w.hosts[to%len(w.hosts)].receiver.ServeHTTP(rw, req)
	a := answer{Status: rw.Code}
	assert.NoError(w.t, json.Unmarshal(rw.Body.Bytes(), &a), rw.Body.String())
	if a.Status == http.StatusOK {
		var sent struct{ ID string }
		assert.NoError(w.t, json.Unmarshal(payload, &sent))
		w.mu.Lock()
		w.sent = append(w.sent, sent.ID)
		w.mu.Unlock()
	}
	return a
}

func (w *testEnv) withFields(payload []byte, fields map[string]any) []byte {
	w.t.Helper()
	var event map[string]any
	require.NoError(w.t, json.Unmarshal(payload, &event))
	for k, v := range fields {
		event[k] = v
	}
	out, err := json.Marshal(event)
	require.NoError(w.t, err)
	return out
}

func (w *testEnv) outcome(id string) webhook.Outcome {
	w.t.Helper()
	var outcome webhook.Outcome
	require.NoError(w.t, w.db.QueryRowContext(w.t.Context(),
		`SELECT coalesce((SELECT e.outcome FROM booking_platform.payment_events e
			WHERE e.receiver = $2::text AND e.stripe_event_id = $1::text), '')`,
		id, faults.HostReceiver).Scan(&outcome))
	return outcome
}

func (w *testEnv) requireUnapplied(b booking.Booking) {
	w.t.Helper()
	require.Equal(w.t, booking.StatusPending, w.status(b))
	require.Equal(w.t, payments.StatusOpen, w.payment(b).Status())
	require.Zero(w.t, w.confirmations(b))
}

func (w *testEnv) confirmations(b booking.Booking) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.db.QueryRowContext(w.t.Context(),
		`SELECT count(*) FROM booking_platform.booking_history h
			WHERE h.booking_id = $1::uuid AND h.to_status = 'confirmed'
				AND h.from_status IS DISTINCT FROM 'confirmed'`, b.ID).Scan(&n))
	return n
}

// requireOneEffect: confirmed once, with the price captured.
func (w *testEnv) requireOneEffect(b booking.Booking) {
	w.t.Helper()
	require.Equal(w.t, booking.StatusConfirmed, w.status(b))
	require.Equal(w.t, 1, w.confirmations(b))
	require.EqualValues(w.t, price, w.payment(b).Captured.Minor)
}
