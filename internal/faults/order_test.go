package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
	"github.com/stretchr/testify/require"
	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/paymentintent"
)

// story is what happens to a booking at Stripe, and its final state in any order of the
// events.
type story struct {
	name string
	// sessions is how many Checkout Sessions, all but the last abandoned by us. 0 is an
	// adopted PaymentIntent.
	sessions int
	tell     func(s *stripetest.Server, ids []string) error
	// events is their number without those of one redundant type, which would make five
	// times as many orders.
	events  int
	without string
	end     string
}

var stories = []story{
	{"refunded in parts", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), refund(s, ids[0], 1000, ""), refund(s, ids[0], 500, ""))
	}, 5, "", "confirmed; partially_refunded: succeeded 1000, succeeded 500"},
	{"refunded in full", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), refund(s, ids[0], price, ""))
	}, 3, "", "cancelled; refunded: succeeded 2500"},
	{"a pending refund", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), refund(s, ids[0], 1000, stripetest.RefundSucceeded))
	}, 4, "charge.refund.updated", "confirmed; partially_refunded: succeeded 1000"},
	{"a failing refund", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), refund(s, ids[0], 1000, stripetest.RefundFailed))
	}, 4, "charge.refund.updated", "confirmed; paid: failed 1000"},
	{"a dispute won", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), dispute(s, ids[0]), closeDispute(s, ids[0], true))
	}, 4, "charge.dispute.funds_withdrawn", "confirmed; paid"},
	{"a dispute lost", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), dispute(s, ids[0]), closeDispute(s, ids[0], false))
	}, 4, "", "confirmed; dispute_lost"},
	// Several disputes of parts of one payment.
	{"two disputes, the first lost, the second won", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), disputeOf(s, ids[0], 1000, false), endDispute(s, ids[0], stripetest.DisputeLost),
			disputeOf(s, ids[0], 1500, false), endDispute(s, ids[0], stripetest.DisputeWon))
	}, 5, "funds_", "confirmed; dispute_lost"},
	{"two disputes, one prevented, one still an inquiry", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), disputeOf(s, ids[0], 1000, false),
			endDispute(s, ids[0], stripetest.DisputePrevented), disputeOf(s, ids[0], 1000, true))
	}, 4, "funds_", "confirmed; disputed"},
	{"an inquiry that is closed", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), disputeOf(s, ids[0], 0, true), endDispute(s, ids[0], stripetest.InquiryClosed),
			refund(s, ids[0], 1000, ""))
	}, 5, "", "confirmed; partially_refunded: succeeded 1000"},
	{"a dispute closed with an unknown status", 1, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), dispute(s, ids[0]), endDispute(s, ids[0], "not_yet_invented"))
	}, 5, "", "confirmed; paid"},
	{"a delayed method, paid and refunded in part", 1, func(s *stripetest.Server, ids []string) error {
		return chain(payDelayed(s, ids[0]), func() error { _, err := s.SettlePayment(ids[0]); return err },
			refund(s, ids[0], 1000, ""))
	}, 4, "", "confirmed; partially_refunded: succeeded 1000"},
	{"a delayed method, refused", 1, func(s *stripetest.Server, ids []string) error {
		return chain(payDelayed(s, ids[0]), func() error { _, err := s.FailPayment(ids[0]); return err })
	}, 2, "", "expired; failed"},
	{"an expired session, and a second one paid, refunded in part and disputed", 2,
		func(s *stripetest.Server, ids []string) error {
			return chain(func() error { _, err := s.Expire(ids[0]); return err }, pay(s, ids[1]),
				refund(s, ids[1], 1000, ""), dispute(s, ids[1]))
		}, 5, "charge.dispute.funds_withdrawn", "confirmed; disputed: succeeded 1000; failed"},
	{"two paid sessions, one by a delayed method", 2, func(s *stripetest.Server, ids []string) error {
		return chain(pay(s, ids[0]), payDelayed(s, ids[1]),
			func() error { _, err := s.SettlePayment(ids[1]); return err })
	}, 3, "", "confirmed; paid; refunded: succeeded 2500"},
	{"an adopted PaymentIntent, refunded in part", 0, func(s *stripetest.Server, ids []string) error {
		return chain(payIntent(s, ids[0]), refund(s, ids[0], 1000, ""))
	}, 3, "", "confirmed; partially_refunded: succeeded 1000"},
	{"an adopted PaymentIntent, refunded in full", 0, func(s *stripetest.Server, ids []string) error {
		return chain(payIntent(s, ids[0]), refund(s, ids[0], price, ""))
	}, 3, "", "cancelled; refunded: succeeded 2500"},
	{"an adopted PaymentIntent, declined, then paid by a debit and disputed", 0,
		func(s *stripetest.Server, ids []string) error {
			return chain(func() error { return s.DeclineIntent(ids[0]) }, debitIntent(s, ids[0], s.SettleIntent),
				dispute(s, ids[0]))
		}, 4, "funds_", "confirmed; disputed"},
	{"an adopted PaymentIntent, declined, then a debit refused", 0, func(s *stripetest.Server, ids []string) error {
		return chain(func() error { return s.DeclineIntent(ids[0]) }, debitIntent(s, ids[0], s.FailIntent))
	}, 3, "", "expired; failed"},
	{"an adopted PaymentIntent, a debit refused, then paid by card", 0, func(s *stripetest.Server, ids []string) error {
		return chain(debitIntent(s, ids[0], s.FailIntent), payIntent(s, ids[0]))
	}, 3, "", "confirmed; paid"},
}

func chain(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// storyRun is a booking with its story and an order of the events.
type storyRun struct {
	story   story
	booking booking.Booking
	events  []stripetest.Event
	order   []int
	// intent is adopted before it is paid, or if late between the deliveries.
	intent string
	late   bool
}

// Each event is delivered twice, at once or after all others, and once more by
// RetryWaiting where it did not match.
func TestDelivery_AnyOrder(t *testing.T) {
	t.Parallel()
	w := newEnv(t, setup{undelivered: true, pool: 8, webhook: webhook.Options{Prepare: true}})
	var all []storyRun
	for i, s := range stories {
		resource := w.newResource(fmt.Sprint("story-", i), 1000)
		for _, order := range orders(s.events) {
			b, err := w.hosts[0].bookings.Hold(t.Context(),
				booking.HoldRequest{Resource: resource.ID, Start: slot(len(all)), Customer: ada})
			require.NoError(t, err)
			all = append(all, storyRun{story: s, booking: b, order: order, late: len(all)%3 == 0})
		}
	}
	inParallel(len(all), func(i int) { w.play(&all[i]) })
	require.False(t, t.Failed())
	inParallel(len(all), func(i int) { w.deliverInOrder(all[i], i%2 == 0) })
	require.False(t, t.Failed())
	w.settle()
	ends := w.finalStates()
	for _, one := range all {
		require.Equal(t, one.story.end, ends[one.booking.ID], "%s, order %v", one.story.name, one.order)
	}
	var waiting int
	require.NoError(t, w.db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM booking_platform.payment_events e WHERE e.outcome <> 'processed'`).Scan(&waiting))
	require.Zero(t, waiting, "every event was matched in the end")
	w.faultOccurred(len(all))
	w.checkInvariants()
	t.Logf("%d orders, %d deliveries", len(all), len(w.sent))
}

func orders(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, o := range orders(n - 1) {
		for at := range n {
			out = append(out, slices.Insert(slices.Clone(o), at, n-1))
		}
	}
	return out
}

func inParallel(n int, do func(i int)) {
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < n; i += 8 {
				do(i)
			}
		})
	}
	all.Wait()
}

func (w *testEnv) play(one *storyRun) {
	var ids []string
	if one.story.sessions == 0 {
		one.intent = w.newIntent(one.booking.ID)
		ids = append(ids, one.intent)
		if !one.late {
			w.adopt(*one)
		}
	}
	for n := range one.story.sessions {
		c, err := w.hosts[n].payments.Checkout(w.t.Context(), one.booking.ID)
		if err != nil {
			w.t.Error(err)
			return
		}
		if n < one.story.sessions-1 {
			if _, err := w.db.ExecContext(w.t.Context(),
				`UPDATE booking_platform.payments SET failed = true WHERE id = $1::uuid`, c.PaymentID); err != nil {
				w.t.Error(err)
			}
		}
		ids = append(ids, c.SessionID)
	}
	w.telling.Lock()
	defer w.telling.Unlock()
	if err := one.story.tell(w.stripe, ids); err != nil {
		w.t.Error(one.story.name, err)
	}
	for _, id := range ids {
		for _, e := range w.eventsOf(id) {
			if one.story.without == "" || !strings.Contains(e.Type, one.story.without) {
				one.events = append(one.events, e)
			}
		}
	}
	if len(one.events) != len(one.order) {
		w.t.Errorf("%s makes %d events", one.story.name, len(one.events))
	}
}

func (w *testEnv) newIntent(bookingID string) string {
	intents := paymentintent.Client{Key: secretKey, B: stripe.GetBackendWithConfig(stripe.APIBackend,
		&stripe.BackendConfig{URL: stripe.String(w.setup.opts.BaseURL)})}
	params := &stripe.PaymentIntentParams{Amount: stripe.Int64(price), Currency: stripe.String("eur")}
	params.AddMetadata("booking_id", bookingID)
	made, err := intents.New(params)
	if err != nil {
		w.t.Error(err)
		return ""
	}
	return made.ID
}

// adopt is on two hosts at once.
func (w *testEnv) adopt(one storyRun) {
	var both sync.WaitGroup
	for n := range 2 {
		both.Go(func() {
			if _, err := w.hosts[n].payments.Adopt(w.t.Context(), one.booking.ID, one.intent); err != nil {
				w.t.Error(one.story.name, err)
			}
		})
	}
	both.Wait()
}

func (w *testEnv) deliverInOrder(one storyRun, atOnce bool) {
	order := slices.Clone(one.order)
	if atOnce {
		for i := range one.order {
			order = slices.Insert(order, 2*i, one.order[i])
		}
	} else {
		order = append(order, one.order...)
	}
	for n, i := range order {
		if one.late && one.intent != "" && n == len(order)/2 {
			w.adopt(one)
		}
		if a := w.deliver(n, one.events[i].Payload); a.Status != http.StatusOK {
			w.t.Errorf("%s, order %v: %+v", one.story.name, one.order, a)
		}
	}
}

// finalStates has the applied payment first.
func (w *testEnv) finalStates() map[string]string {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), `SELECT b.id::text, b.status FROM booking_platform.bookings b`)
	require.NoError(w.t, err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, status string
		require.NoError(w.t, rows.Scan(&id, &status))
		out[id] = status
	}
	require.NoError(w.t, rows.Err())
	payments, err := w.db.QueryContext(w.t.Context(), `SELECT p.booking_id::text, p.id::text,
		coalesce((SELECT ': ' || string_agg(r.status || ' ' || r.amount_minor, ', ' ORDER BY r.amount_minor DESC)
			FROM booking_platform.refunds r WHERE r.payment_id = p.id), '')
		FROM booking_platform.payments p ORDER BY p.captured_minor > 0 AND p.unapplied = '' DESC, p.id`)
	require.NoError(w.t, err)
	defer payments.Close()
	for payments.Next() {
		var booking, id, refunds string
		require.NoError(w.t, payments.Scan(&booking, &id, &refunds))
		p, err := w.hosts[0].payments.Get(w.t.Context(), id)
		require.NoError(w.t, err)
		out[booking] += "; " + string(p.Status()) + refunds
	}
	require.NoError(w.t, payments.Err())
	return out
}

// Steps of stories: what customers, banks and staff do at Stripe.

func pay(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.Pay(context.Background(), id); return err }
}

func payDelayed(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.PayDelayed(context.Background(), id); return err }
}

func payIntent(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.PayIntent(context.Background(), id); return err }
}

func debitIntent(s *stripetest.Server, id string, end func(string) (stripetest.PaymentIntent, error)) func() error {
	return func() error {
		_, err := s.PayIntentDelayed(context.Background(), id)
		if err == nil {
			_, err = end(id)
		}
		return err
	}
}

// refund refunds in Stripe's dashboard, at once or pending until it ends as given.
func refund(s *stripetest.Server, id string, amount int64, end stripetest.RefundStatus) func() error {
	return func() error {
		if end != "" {
			s.MakeRefundsPending(1)
		}
		made, err := s.RefundFromDashboard(id, amount)
		if err != nil {
			return err
		}
		switch end {
		case stripetest.RefundSucceeded:
			_, err = s.SettleRefund(made)
		case stripetest.RefundFailed:
			_, err = s.FailRefund(made, "expired_or_canceled_card")
		}
		return err
	}
}

func dispute(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.Dispute(id); return err }
}

func closeDispute(s *stripetest.Server, id string, won bool) func() error {
	return func() error { _, err := s.CloseDispute(id, won); return err }
}

// disputeOf is of a part, or an inquiry; 0 is all that is left.
func disputeOf(s *stripetest.Server, id string, amount int64, inquiry bool) func() error {
	return func() error {
		_, err := s.OpenDispute(id, stripetest.NewDispute{Amount: amount, Inquiry: inquiry})
		return err
	}
}

func endDispute(s *stripetest.Server, id string, status stripetest.DisputeStatus) func() error {
	return func() error { _, err := s.EndDispute(id, status); return err }
}
