package faults_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/faults"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Exactly the invariant meant reports each planted mistake. $1 is the booking that was
// paid and partly refunded, $2 the one that was paid too late.
func TestInvariants_PlantedMistakes(t *testing.T) {
	t.Parallel()
	w, paid, late := everyKindOfPayment(t)
	truth := w.truth()
	broken, err := faults.Broken(t.Context(), w.db, truth)
	require.NoError(t, err)
	require.Empty(t, broken, "before")
	w.checked = true
	for name, plant := range map[string]struct {
		number     int
		statements []string
	}{
		"the constraint is gone, and a slot is sold twice": {1, []string{
			`ALTER TABLE booking_platform.bookings DROP CONSTRAINT bookings_no_overlap`,
			`INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status,
				hold_expires_at, amount_minor, currency)
				SELECT gen_random_uuid(), b.resource_id, b.units, b.party, b.during, b.blocked, 'pending',
					b.hold_expires_at, b.amount_minor, b.currency
				FROM booking_platform.bookings b WHERE b.id = $1`,
		}},
		"the unique index is gone, and an event has two rows": {2, []string{
			`ALTER TABLE booking_platform.payment_events DROP CONSTRAINT payment_events_pkey`,
			`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, object_id,
				stripe_payment_intent_id)
				SELECT e.receiver, e.stripe_event_id, e.type, e.outcome, e.object_id, e.stripe_payment_intent_id
				FROM booking_platform.payment_events e WHERE e.type = 'charge.refunded' LIMIT 1`,
		}},
		"an event was ignored by a replica without a handler, and not retried": {2, []string{
			`UPDATE booking_platform.payment_events SET outcome = 'ignored', reason = 'no_handler'
				WHERE type = 'charge.refunded'`,
		}},
		"a paid booking is released": {3,
			[]string{`UPDATE booking_platform.bookings SET status = 'expired' WHERE id = $1`}},
		"late money counts as applied, and its booking has expired": {3, []string{
			`UPDATE booking_platform.payments SET unapplied = '' WHERE booking_id = $2`,
		}},
		"the booking of a disputed payment is released": {3, []string{
			`UPDATE booking_platform.bookings b SET status = 'expired' FROM booking_platform.payments p
				WHERE p.booking_id = b.id AND p.disputes_open > 0`,
		}},
		"the booking of an adopted payment is released": {3, []string{
			`UPDATE booking_platform.bookings b SET status = 'expired' FROM booking_platform.payments p
				WHERE p.booking_id = b.id AND p.kind = 'intent'`,
		}},
		"a booking is paid at Stripe and at the desk": {3, []string{
			`INSERT INTO booking_platform.payments (id, booking_id, kind, amount_minor, currency, captured_minor,
				completed, parameters, session_expires_at)
				SELECT gen_random_uuid(), b.id, 'desk', b.amount_minor, b.currency, b.amount_minor, true, '{}', now()
				FROM booking_platform.bookings b WHERE b.id = $1`,
		}},
		"the event of an adopted payment has no ledger row": {5, []string{
			`UPDATE booking_platform.payment_events SET outcome = 'ignored', reason = 'not_ours'
				WHERE type = 'payment_intent.succeeded'`,
			`UPDATE booking_platform.payments SET asked_at = NULL WHERE kind = 'intent'`,
		}},
		"an event of a Checkout Session's PaymentIntent is processed": {5, []string{
			`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, object_id,
				stripe_payment_intent_id)
				SELECT 'default', 'evt_planted', 'payment_intent.succeeded', 'processed', p.stripe_payment_intent_id,
					p.stripe_payment_intent_id
				FROM booking_platform.payments p WHERE p.booking_id = $1`,
		}},
		"a refund by hand is to be made at Stripe": {7,
			[]string{`UPDATE booking_platform.refunds SET by_hand = false WHERE by_hand`}},
		"the amount differs": {4,
			[]string{`UPDATE booking_platform.bookings SET amount_minor = amount_minor + 1 WHERE id = $1`}},
		"the currency differs": {4, []string{`UPDATE booking_platform.bookings SET currency = 'usd' WHERE id = $1`}},
		"an event is processed without effect": {5, []string{
			`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, stripe_session_id)
				SELECT 'default', 'evt_planted', 'checkout.session.expired', 'processed', p.stripe_session_id
					FROM booking_platform.payments p WHERE p.booking_id = $1`,
		}},
		"an effect has no processed event": {5, []string{
			`UPDATE booking_platform.payment_events e SET outcome = 'ignored', reason = 'not_ours'
				FROM booking_platform.payments p
				WHERE p.booking_id = $1 AND e.stripe_session_id = p.stripe_session_id`,
		}},
		"a dispute event is processed without effect": {5, []string{
			`INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, outcome, object_id,
				stripe_payment_intent_id)
				SELECT 'default', 'evt_planted', 'charge.dispute.created', 'processed', 'dp_planted',
					p.stripe_payment_intent_id
				FROM booking_platform.payments p WHERE p.booking_id = $1`,
		}},
		"disputed money counts as kept": {6,
			[]string{`UPDATE booking_platform.disputes SET reinstated = true WHERE NOT closed`}},
		"a dispute unknown to Stripe": {7, []string{`INSERT INTO booking_platform.disputes (id, payment_id,
			amount_minor, currency, closed)
				SELECT 'dp_planted', p.id, 1, p.currency, true FROM booking_platform.payments p
					WHERE p.booking_id = $1`}},
		"the end of a dispute is not recorded with its payment": {7,
			[]string{`UPDATE booking_platform.payments SET disputes_open = 0`}},
		"more is parked than was paid": {6,
			[]string{`UPDATE booking_platform.payments SET captured_minor = captured_minor + 1 WHERE parked`}},
		"more is refunded than was paid": {7, []string{
			`INSERT INTO booking_platform.refunds (id, payment_id, cause, amount_minor, currency, status)
				SELECT gen_random_uuid(), p.id, 'planted', p.captured_minor, p.currency, 'due'
					FROM booking_platform.payments p WHERE p.booking_id = $1`,
		}},
		"a refund unknown to Stripe": {7, []string{
			`INSERT INTO booking_platform.refunds (id, payment_id, cause, amount_minor, currency, status,
				stripe_refund_id)
				SELECT gen_random_uuid(), p.id, 'planted', 1, p.currency, 'failed', 're_planted'
					FROM booking_platform.payments p WHERE p.booking_id = $1`,
		}},
		"an answered event is not in the ledger": {8,
			[]string{`DELETE FROM booking_platform.payment_events WHERE type = 'charge.refunded'`}},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := w.db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			for _, statement := range plant.statements {
				_, err := tx.ExecContext(t.Context(),
					strings.NewReplacer("$1", "'"+paid.ID+"'", "$2", "'"+late.ID+"'").Replace(statement))
				require.NoError(t, err)
			}
			broken, err := faults.Broken(t.Context(), tx, truth)
			require.NoError(t, err)
			require.NotEmpty(t, broken)
			for _, v := range broken {
				require.Equal(t, plant.number, v.Invariant.Number, v.String())
			}
		})
	}
}

// everyKindOfPayment makes payments partly refunded; too late and refunded; parked;
// disputed; cancelled after a partial dispute; an adopted PaymentIntent, partly refunded;
// and money at the desk, partly to be paid back.
func everyKindOfPayment(t *testing.T) (w *testEnv, paid, late booking.Booking) {
	t.Helper()
	w = newEnv(t, setup{})
	paid, p := w.paid(0)
	_, err := w.hosts[0].payments.Refund(t.Context(),
		payments.RefundRequest{PaymentID: p.ID, Amount: 1000, Cause: "rain"})
	require.NoError(t, err)
	late, c := w.checkedOut(1)
	w.release(late)
	w.paid(1)
	w.pay(c)
	_, parked := w.checkedOut(2)
	w.exec(`UPDATE booking_platform.payments SET amount_minor = amount_minor + 1 WHERE id = $1::uuid`, parked.PaymentID)
	w.pay(parked)
	_, disputed := w.paid(3)
	require.NoError(t, dispute(w.stripe, disputed.SessionID)())
	cancelled, lost := w.paid(4)
	require.NoError(t, disputeOf(w.stripe, lost.SessionID, 1000, false)())
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	_, err = w.hosts[0].payments.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	require.NoError(t, endDispute(w.stripe, lost.SessionID, stripetest.DisputeLost)())
	require.NoError(t, w.stripe.WaitDelivered(t.Context()))
	adopted := w.hold(5)
	one := storyRun{booking: adopted, intent: w.newIntent(adopted.ID)}
	w.adopt(one)
	require.NoError(t, payIntent(w.stripe, one.intent)())
	desk := w.hold(6)
	pay, err := w.hosts[0].payments.RecordDesk(t.Context(), payments.DeskPayment{BookingID: desk.ID,
		Amount: desk.Amount, Method: "cash", Actor: "operator"})
	require.NoError(t, err)
	for _, id := range []string{w.payment(adopted).ID, pay.ID} {
		_, err = w.hosts[0].payments.Refund(t.Context(),
			payments.RefundRequest{PaymentID: id, Amount: 500, Cause: "rain"})
		require.NoError(t, err)
	}
	w.settle()
	return w, paid, late
}
