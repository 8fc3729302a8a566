package payments_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

type message struct {
	kind   string
	object map[string]any
}

func orders[T any](all []T) [][]T {
	if len(all) <= 1 {
		return [][]T{append([]T(nil), all...)}
	}
	var out [][]T
	for i := range all {
		rest := append(append([]T(nil), all[:i]...), all[i+1:]...)
		for _, o := range orders(rest) {
			out = append(out, append([]T{all[i]}, o...))
		}
	}
	return out
}

// M7: In every order, each repeated, a payment's events lead to the same state. An event
// that matched nothing is sent again, as by reconciliation.
func TestEvents_AnyOrder(t *testing.T) {
	t.Parallel()
	charge := func(refunded int) func(c payments.Checkout) message {
		return func(c payments.Checkout) message {
			return message{"charge.refunded", map[string]any{"id": "ch_" + c.SessionID, "object": "charge",
				"payment_intent": "pi_" + c.SessionID, "amount_refunded": refunded}}
		}
	}
	refund := func(kind, id, status string, amount int) func(c payments.Checkout) message {
		return func(c payments.Checkout) message {
			return message{kind, map[string]any{"id": id + c.SessionID, "object": "refund",
				"payment_intent": "pi_" + c.SessionID,
				"amount":         amount, "currency": "eur", "status": status}}
		}
	}
	dispute := func(kind, status string) func(c payments.Checkout) message {
		return func(c payments.Checkout) message {
			return message{"charge.dispute." + kind, map[string]any{"id": "dp_1", "object": "dispute",
				"payment_intent": "pi_" + c.SessionID, "status": status}}
		}
	}
	disputeOf := func(id, kind, status string, amount int) func(c payments.Checkout) message {
		return func(c payments.Checkout) message {
			return message{"charge.dispute." + kind,
				map[string]any{"id": id + c.SessionID, "object": "dispute", "payment_intent": "pi_" + c.SessionID,
					"status": status, "amount": amount, "currency": "eur"}}
		}
	}
	checkout := func(kind, paid string) func(c payments.Checkout) message {
		return func(c payments.Checkout) message {
			return message{"checkout.session." + kind, session(c, map[string]any{"payment_status": paid})}
		}
	}
	for name, test := range map[string]struct {
		events  []func(payments.Checkout) message
		status  payments.Status
		booking booking.Status
		// transitions are the hook's calls, sorted; optional ones are left out if the
		// state was past them.
		transitions, optional []string
	}{
		"refunded in parts": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), refund("refund.created", "re_1", "succeeded", 1000),
				refund("refund.created", "re_2", "pending", 500),
				refund("refund.updated", "re_2", "succeeded", 500),
			}, payments.StatusPartiallyRefunded, booking.StatusConfirmed, []string{"paid", "refunded", "refunded"}, nil,
		},
		"refunded in full": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), refund("refund.created", "re_1", "pending", price),
				refund("charge.refund.updated", "re_1", "succeeded", price),
				charge(price),
			}, payments.StatusRefunded, booking.StatusCancelled, []string{"cancelled", "paid", "refunded"}, nil,
		},
		"a refund that fails": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), refund("refund.created", "re_1", "pending", 1000),
				refund("refund.updated", "re_1", "succeeded", 1000),
				refund("refund.failed", "re_1", "failed", 1000),
			}, payments.StatusPaid, booking.StatusConfirmed, []string{"paid", "refund_failed"}, []string{"refunded"},
		},
		"dispute won": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), dispute("created", "needs_response"), dispute("updated", "under_review"),
				dispute("closed", "won"),
			}, payments.StatusPaid, booking.StatusConfirmed, []string{"dispute_closed", "disputed", "paid"}, nil,
		},
		"dispute lost": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), dispute("created", "needs_response"),
				dispute("funds_withdrawn", "needs_response"), dispute("closed", "lost"),
			}, payments.StatusDisputeLost, booking.StatusConfirmed, []string{"dispute_closed", "disputed", "paid"}, nil,
		},
		// Each of two disputes has its own outcome.
		"two disputes, the second lost": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), disputeOf("dp_a", "created", "needs_response", price),
				disputeOf("dp_a", "closed", "won", price),
				disputeOf("dp_b", "funds_withdrawn", "needs_response", 1000), disputeOf("dp_b", "closed", "lost", 1000),
			}, payments.StatusDisputeLost, booking.StatusConfirmed,
			[]string{"dispute_closed", "dispute_closed", "disputed", "disputed", "paid"}, nil,
		},
		"two disputes, one of them open": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), disputeOf("dp_a", "closed", "lost", price),
				disputeOf("dp_a", "funds_reinstated", "won", price),
				disputeOf("dp_b", "created", "warning_needs_response", 1000),
				disputeOf("dp_b", "updated", "needs_response", 1000),
			}, payments.StatusDisputed, booking.StatusConfirmed,
			[]string{"dispute_closed", "disputed", "disputed", "paid"}, nil,
		},
		"two disputes and nothing lost": {
			[]func(payments.Checkout) message{
				checkout("completed", "paid"), disputeOf("dp_a", "closed", "warning_closed", price),
				disputeOf("dp_b", "closed", "no_such_status", price),
				disputeOf("dp_b", "funds_withdrawn", "needs_response", price),
				disputeOf("dp_b", "funds_reinstated", "no_such_status", price),
			}, payments.StatusPaid, booking.StatusConfirmed,
			[]string{"dispute_closed", "dispute_closed", "disputed", "disputed", "paid"}, nil,
		},
		"a delayed method": {
			[]func(payments.Checkout) message{
				checkout("completed", "unpaid"), checkout("async_payment_succeeded", "paid"),
				dispute("created", "needs_response"),
			}, payments.StatusDisputed, booking.StatusConfirmed, []string{"disputed", "paid"}, []string{"processing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A story with 120 orders runs each statement a thousand times: with pgx,
			// which keeps them prepared, at a third of the CPU time.
			driver := testdb.PQ
			if len(test.events) > 3 {
				driver = testdb.PGX
			}
			w := withOutbox(t, setup{db: testdb.Open(t, driver, testdb.URL(t)), capacity: 1000})
			for n, order := range orders(test.events) {
				b := w.hold(0)
				c := w.checkout(b)
				for _, round := range []string{"first", "again"} {
					for i, event := range order {
						e := event(c)
						id := fmt.Sprintf("evt_%d_%d", n, i)
						require.Equal(t, http.StatusOK, w.send(id, e.kind, e.object), round)
						if i%2 == 0 {
							// A second event about the same change.
							require.Equal(t, http.StatusOK, w.send(id+"_twin", e.kind, e.object), round)
						}
					}
				}
				require.Equal(t, test.status, w.payment(b.ID).Status(), "order %d", n)
				require.Equal(t, test.booking, w.status(b.ID), "order %d", n)
				once := w.transitionsOf(c.PaymentID)
				for _, kind := range test.optional {
					if i := slices.Index(once, kind); i >= 0 {
						once = slices.Delete(once, i, i+1)
					}
				}
				require.Equal(t, test.transitions, once, "order %d", n)
			}
			entries, err := webhook.NewLedger(w.db, "").List(t.Context(),
				webhook.ListOptions{Outcome: webhook.Unmatched, Limit: 500})
			require.NoError(t, err)
			require.Empty(t, entries, "every event matched in the end")
			var wrong int
			require.NoError(t, w.db.QueryRow(`SELECT count(*) FROM booking_platform.payments
				WHERE refund_committed > captured_minor OR captured_minor <> amount_minor`).Scan(&wrong))
			require.Zero(t, wrong)
		})
	}
}

// No object in a signed event causes an internal error or an unreadable payment. SESSION,
// PAYMENT and INTENT stand for an existing payment's ids.
func FuzzEvents(f *testing.F) {
	all := newWorld(f, setup{capacity: 10000})
	all.payments.RegisterBatch(all.receiver)
	types := payments.EventTypes()
	for i := range types {
		for _, object := range []string{
			`{"id":"SESSION","object":"checkout.session","status":"complete","payment_status":"paid",
				"amount_total":2500,"currency":"eur","payment_intent":"INTENT","client_reference_id":"PAYMENT",
				"metadata":{"payment_id":"PAYMENT"}}`,
			`{"id":"SESSION","object":"checkout.session","payment_status":"unpaid","amount_total":-1,"currency":"EUR",
				"payment_intent":null}`,
			`{"id":"ch_1","object":"charge","payment_intent":"INTENT","amount":2500,"amount_captured":2500,
				"amount_refunded":2500,"refunded":true,"currency":"eur","metadata":{"payment_id":"PAYMENT"},
				"refunds":{"data":[{"id":"re_1","amount":2500,"currency":"eur","status":"succeeded"}]}}`,
			`{"id":"re_1","object":"refund","payment_intent":"INTENT","charge":"ch_1","amount":9223372036854775807,
				"currency":"eur","status":"succeeded","metadata":{"payment_id":"PAYMENT"}}`,
			`{"id":"re_3","object":"refund","payment_intent":"INTENT","amount":9223372036854775807,"currency":"eur",
				"status":"pending"}`,
			`{"id":"re_2","object":"refund","payment_intent":{"id":"INTENT"},"charge":{"id":"ch_1"},"amount":1,
				"currency":"jpy","status":"failed","failure_reason":"lost_or_stolen_card"}`,
			`{"id":"du_1","object":"dispute","payment_intent":"INTENT","charge":"ch_1","amount":2500,"currency":"eur",
				"status":"lost","reason":"fraudulent"}`,
			`{"id":"SESSION","amount_total":1e30,"currency":"\u0000","payment_status":[]}`, `{}`,
			`{"id":"","payment_intent":"INTENT"}`,
		} {
			f.Add(uint8(i), object)
		}
	}
	// An object that is JSON only within its event, and one that is too large only with
	// the ids.
	f.Add(uint8(0), `0},"id":"","x":{"y":0`)
	f.Add(uint8(0), `{"x":"`+strings.Repeat("INTENT", 17000)+`"}`)
	const largest = 1<<20 - 1<<10 // With the event around it, that is what the receiver takes.
	made := 0
	f.Fuzz(func(t *testing.T, which uint8, object string) {
		// The ids do not change that. An invalid object may make another valid event
		// together with its envelope.
		if !json.Valid([]byte(object)) {
			return
		}
		w := *all
		w.t = t
		// A payment per input, so that inputs do not affect each other.
		checkout := w.checkout(w.hold(made % 48))
		made++
		object = strings.NewReplacer("SESSION", checkout.SessionID, "PAYMENT", checkout.PaymentID, "INTENT",
			"pi_"+checkout.SessionID).Replace(object)
		if len(object) > largest {
			return
		}
		payload := []byte(`{"id":"evt_` + uuid.NewString() + `","object":"event","type":"` +
			types[int(which)%len(types)] + `","api_version":"` + stripetest.APIVersion +
			`","created":` + strconv.FormatInt(time.Now().Unix(), 10) + `,"livemode":false,"data":{"object":` + object +
			`}}`)
		status := w.sendRaw(payload)
		// Invalid UTF-8, and nesting that is too deep with the envelope.
		refused := !utf8.Valid(payload) || !json.Valid(payload)
		if status != http.StatusOK && (status != http.StatusBadRequest || !refused) {
			t.Fatalf("%d for %s", status, payload)
		}
		_, err := w.payments.Get(t.Context(), checkout.PaymentID)
		require.NoError(t, err, "%s", payload)
	})
}
