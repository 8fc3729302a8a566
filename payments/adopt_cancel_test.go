package payments_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Once over three replicas.
func TestExpireSessions_CancelsIntents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	ended, running, cancelled, paid := w.hold(0), w.hold(1), w.hold(2), w.hold(3)
	intents := map[string]string{}
	for _, b := range []booking.Booking{ended, running, cancelled, paid} {
		intents[b.ID] = w.adopt(b)
	}
	w.payIntent(intents[paid.ID])
	w.endHold(ended.ID)
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	var all sync.WaitGroup
	counts, errs := make([]int, 3), make([]error, 3)
	for n := range counts {
		all.Go(func() { counts[n], errs[n] = w.payments.ExpireSessions(context.WithoutCancel(t.Context())) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 2, counts[0]+counts[1]+counts[2])
	for b, want := range map[string]stripetest.IntentStatus{
		ended.ID: stripetest.IntentCanceled, cancelled.ID: stripetest.IntentCanceled,
		running.ID: stripetest.IntentRequiresPaymentMethod, paid.ID: stripetest.IntentSucceeded,
	} {
		at, err := w.stripe.PaymentIntent(intents[b])
		require.NoError(t, err)
		require.Equal(t, want, at.Status)
	}
	require.Equal(t, booking.StatusExpired, w.status(ended.ID))
	require.Equal(t, payments.StatusExpired, w.payment(ended.ID).Status())
	require.Equal(t, payments.StatusExpired, w.payment(cancelled.ID).Status())
	w.hold(0)
	w.delivered()
	require.Equal(t, 2, w.outcomes()["payment_intent.canceled processed"])
}

// The event is lost: the payment wins.
func TestExpireSessions_IntentJustPaid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lostEvents}})
	paid, delayed := w.hold(0), w.hold(1)
	one, two := w.adopt(paid), w.adopt(delayed)
	w.payIntent(one)
	_, err := w.stripe.PayIntentDelayed(t.Context(), two)
	require.NoError(t, err)
	w.endHold(paid.ID)
	w.endHold(delayed.ID)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, booking.StatusConfirmed, w.status(paid.ID))
	require.Equal(t, payments.StatusProcessing, w.payment(delayed.ID).Status())
	_, err = w.bookings.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, booking.StatusPending, w.status(delayed.ID), "the hold was extended")

	// No event comes of the end either.
	_, err = w.stripe.FailIntent(two)
	require.NoError(t, err)
	w.exec(`UPDATE booking_platform.payments SET leased_until = NULL, session_expires_at = statement_timestamp()
		- interval '1 minute'`)
	n, err = w.payments.ReconcilePayments(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, payments.StatusFailed, w.payment(delayed.ID).Status())
	require.Equal(t, booking.StatusExpired, w.status(delayed.ID))
	// The PaymentIntent could be paid again, and is cancelled.
	w.exec(`UPDATE booking_platform.payments SET leased_until = NULL`)
	n, err = w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	at, err := w.stripe.PaymentIntent(two)
	require.NoError(t, err)
	require.Equal(t, stripetest.IntentCanceled, at.Status)
	require.Equal(t, payments.StatusFailed, w.payment(delayed.ID).Status())
}

// 2500 yen, in full and in part.
func TestAdopt_ZeroDecimalCurrency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	_, err := w.bookings.CreateResource(t.Context(), booking.Resource{
		Slug: "tokyo", Name: "Room", TimeZone: "Asia/Tokyo", Capacity: 1, SlotLength: time.Hour,
		Price: booking.Money{Minor: 2500, Currency: "jpy"},
	})
	require.NoError(t, err)
	b, err := w.bookings.Hold(t.Context(), booking.HoldRequest{Resource: "tokyo", Start: slot(0), Customer: ada})
	require.NoError(t, err)
	id := w.adopt(b)
	w.payIntent(id)
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: w.payment(b.ID).ID, Amount: 1001,
		Cause: "rain"})
	require.NoError(t, err)
	_, err = w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, stripetest.Money{Captured: 2500, Refunded: 1001}, w.stripe.Balance()["jpy"])
}

func TestAdopt_Transitions(t *testing.T) {
	t.Parallel()
	w := withOutbox(t, setup{})
	one, two := w.hold(0), w.hold(1)
	w.payIntent(w.adopt(one))
	id := w.intent(price, "eur", two.ID)
	w.payIntent(id)
	for range 2 {
		_, err := w.payments.Adopt(t.Context(), two.ID, id)
		require.NoError(t, err)
	}
	w.retryWaiting()
	_, err := w.payments.RecordDesk(t.Context(), payments.DeskPayment{BookingID: w.hold(2).ID,
		Amount: one.Amount, Method: "cash"})
	require.NoError(t, err)
	rows, err := w.db.QueryContext(t.Context(), `SELECT line FROM outbox ORDER BY id`)
	require.NoError(t, err)
	defer rows.Close()
	for range 3 {
		require.True(t, rows.Next())
		var line string
		require.NoError(t, rows.Scan(&line))
		require.Equal(t, "paid 2500 of 0: paid confirmed", line)
	}
	require.False(t, rows.Next())
	require.NoError(t, rows.Err())
}

// Every order of the events of an adopted PaymentIntent, and of Adopt among them, has the
// same end. Each event is sent twice.
func TestAdopt_AnyOrder(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]struct {
		tell func(w *world, id string) error
		end  string
	}{
		"declined, then paid and refunded in part": {func(w *world, id string) error {
			err := w.stripe.DeclineIntent(id)
			if err == nil {
				_, err = w.stripe.PayIntent(w.t.Context(), id)
			}
			if err == nil {
				_, err = w.stripe.RefundFromDashboard(id, 500)
			}
			return err
		}, "confirmed partially_refunded 500"},
		"a debit, paid and disputed": {func(w *world, id string) error {
			_, err := w.stripe.PayIntentDelayed(w.t.Context(), id)
			if err == nil {
				_, err = w.stripe.SettleIntent(id)
			}
			if err == nil {
				_, err = w.stripe.OpenDispute(id, stripetest.NewDispute{Inquiry: true})
			}
			return err
		}, "confirmed disputed 0"},
		"a debit refused": {func(w *world, id string) error {
			_, err := w.stripe.PayIntentDelayed(w.t.Context(), id)
			if err == nil {
				_, err = w.stripe.FailIntent(id)
			}
			return err
		}, "expired failed 0"},
		"a card declined, then a debit refused, then a card": {func(w *world, id string) error {
			err := w.stripe.DeclineIntent(id)
			if err == nil {
				_, err = w.stripe.PayIntentDelayed(w.t.Context(), id)
			}
			if err == nil {
				_, err = w.stripe.FailIntent(id)
			}
			if err == nil {
				_, err = w.stripe.PayIntent(w.t.Context(), id)
			}
			return err
		}, "confirmed paid 0"},
		"a card declined, then a debit that is processing": {func(w *world, id string) error {
			err := w.stripe.DeclineIntent(id)
			if err == nil {
				_, err = w.stripe.PayIntentDelayed(w.t.Context(), id)
			}
			return err
		}, "pending processing 0"},
		"canceled": {func(w *world, id string) error { return w.stripe.CancelIntent(id) }, "expired expired 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lostEvents}, capacity: 1000})
			sample := w.intent(price, "eur", "")
			require.NoError(t, s.tell(w, sample))
			// Without payment_intent.created, which has no handler; Adopt is the last step.
			events := len(w.eventsOfIntent(sample))
			orders := permutations(events + 1)
			for _, order := range orders {
				b := w.hold(0)
				id := w.intent(price, "eur", b.ID)
				adopted := false
				adopt := func() {
					_, err := w.payments.Adopt(t.Context(), b.ID, id)
					require.NoError(t, err)
					adopted = true
				}
				if order[0] == events {
					// Adopted before anything happened at Stripe.
					adopt()
				}
				require.NoError(t, s.tell(w, id))
				told := w.eventsOfIntent(id)
				require.Len(t, told, events)
				for _, n := range order {
					switch {
					case n == events && adopted:
					case n == events:
						if s.end == "expired expired 0" {
							// Adopt refuses what was cancelled, and the hold expires by itself.
							_, err := w.payments.Adopt(t.Context(), b.ID, id)
							require.ErrorIs(t, err, payments.ErrNotPayable)
							_, err = w.bookings.Release(t.Context(), b.ID)
							require.NoError(t, err)
							continue
						}
						adopt()
					default:
						for range 2 {
							require.Equal(t, http.StatusOK, w.sendRaw(told[n].Payload))
						}
					}
				}
				w.retryWaiting()
				_, err := w.payments.RefreshRefunds(t.Context())
				require.NoError(t, err)
				if !adopted {
					continue
				}
				pay := w.payment(b.ID)
				end := fmt.Sprintf("%s %s %d", w.status(b.ID), pay.Status(), pay.Refunded.Minor)
				require.Equal(t, s.end, end, "order %v", order)
				if w.status(b.ID) != booking.StatusExpired {
					_, err = w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: b.ID})
					require.NoError(t, err)
				}
			}
			t.Logf("%d orders", len(orders))
		})
	}
}

// eventsOfIntent has those with a handler.
func (w *world) eventsOfIntent(id string) (events []stripetest.Event) {
	for _, e := range w.stripe.Events() {
		if e.IntentID == id && e.Type != "payment_intent.created" {
			events = append(events, e)
		}
	}
	return events
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			next := append(append(append([]int{}, p[:at]...), n-1), p[at:]...)
			out = append(out, next)
		}
	}
	return out
}

// A refund takes the Connect transfer and the fee back, whether the PaymentIntent was
// adopted or came back with a lost Checkout Session.
func TestAdopt_RefundReversesTransfer(t *testing.T) {
	t.Parallel()
	var form atomic.Value
	w := newWorld(t, setup{wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPost && r.URL.Path == "/v1/refunds":
				body, _ := io.ReadAll(r.Body)
				values, _ := url.ParseQuery(string(body))
				form.Store(values)
				// The stand-in's charge has neither.
				known := maps.Clone(values)
				known.Del("reverse_transfer")
				known.Del("refund_application_fee")
				r.Body = io.NopCloser(strings.NewReader(known.Encode()))
				next.ServeHTTP(rw, r)
			case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/v1/payment_intents/"):
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				var intent map[string]any
				_ = json.Unmarshal(rec.Body.Bytes(), &intent)
				intent["transfer_data"], intent["application_fee_amount"] = map[string]any{"destination": "acct_1"}, 100
				_ = json.NewEncoder(rw).Encode(intent)
			default:
				next.ServeHTTP(rw, r)
			}
		})
	}})
	b := w.hold(0)
	w.payIntent(w.adopt(b))
	lost := w.hold(1)
	c := w.checkout(lost)
	w.pay(c)
	w.exec(`DELETE FROM booking_platform.payments WHERE booking_id = $1::uuid`, lost.ID)
	_, err := w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: lost.ID})
	require.NoError(t, err)
	booked, err := w.payments.BookPaid(t.Context(),
		booking.HoldRequest{Resource: "room", Start: slot(1), Customer: ada}, payments.PaidBy{StripeID: c.SessionID})
	require.NoError(t, err)
	for _, id := range []string{b.ID, booked.Booking.ID} {
		_, err := w.payments.Cancel(t.Context(), booking.CancelRequest{ID: id})
		require.NoError(t, err)
		w.settle(1)
		sent := form.Load().(url.Values)
		require.Equal(t, [2]string{"true", "true"},
			[2]string{sent.Get("reverse_transfer"), sent.Get("refund_application_fee")})
		require.Equal(t, payments.StatusRefunded, w.payment(id).Status())
	}
}

// The process ends before the commit: a repeat, or the event, does all of it once.
// BookPaid repeats its transaction by itself.
func TestAdopt_EndsBeforeCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deaths   int32
		enter    bool
		bookings int
	}{"adopted open": {0, false, 1}, "adopted paid": {1, false, 1}, "entered": {2, true, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var deaths atomic.Int32
			seen := map[payments.TransitionKind]int{}
			w := newWorld(t, setup{stripe: stripetest.Options{Deliver: lostEvents}, opts: payments.Options{
				OnTransition: func(ctx context.Context, tx payments.Tx, tr payments.Transition) error {
					if deaths.Add(-1) >= 0 {
						// The server ends the session, as it does for a killed client.
						_, err := tx.ExecContext(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
						return err
					}
					seen[tr.Kind]++
					return nil
				}}})
			b := w.hold(0)
			id := w.intent(price, "eur", b.ID)
			do := func() (err error) {
				if c.enter {
					_, err = w.payments.BookPaid(t.Context(), booking.HoldRequest{Resource: "room", Start: slot(1),
						Customer: ada}, payments.PaidBy{StripeID: id})
				} else {
					_, err = w.payments.Adopt(t.Context(), b.ID, id)
				}
				return err
			}
			if c.deaths > 0 {
				w.payIntent(id)
				deaths.Store(c.deaths)
				require.Error(t, do())
				require.LessOrEqual(t, deaths.Load(), int32(0))
				_, err := w.payments.ByIntent(t.Context(), id)
				require.ErrorIs(t, err, payments.ErrNotFound)
				require.Equal(t, booking.StatusPending, w.status(b.ID))
			}
			require.NoError(t, do())
			require.NoError(t, do(), "the answer was lost")
			if c.deaths == 0 {
				w.payIntent(id)
			}
			for _, e := range w.stripe.Events() {
				require.Equal(t, http.StatusOK, w.sendRaw(e.Payload))
			}
			require.NoError(t, do())
			pay, err := w.payments.ByIntent(t.Context(), id)
			require.NoError(t, err)
			require.True(t, pay.Applied())
			require.Equal(t, booking.StatusConfirmed, w.status(pay.BookingID))
			require.Equal(t, map[payments.TransitionKind]int{payments.TransitionPaid: 1}, seen)
			all, err := w.bookings.CustomerBookings(t.Context(), ada.Email)
			require.NoError(t, err)
			require.Len(t, all, c.bookings)
			require.EqualValues(t, price, w.stripe.Balance()["eur"].Kept())
		})
	}
}
