package payments

import (
	"context"
	"log/slog"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// RegisterBatch lets plain payments be settled by one statement each, or by one for all
// that arrive at the same time; call it after [Payments.Register]. Plain is a paid
// checkout.session.completed with the right amount, for an open payment with a stored
// session id and a hold that has not expired. Other events, and events of a statement that
// failed, are handled one by one with the same result. It is for an endpoint that receives
// more events per second than it can commit one by one; see [webhook.Receiver.HandleBatch].
//
// It does nothing if Options.OnTransition is set without OnPaidSQL, or the store's
// OnChange without OnConfirmSQL, which have to be called in Go.
func (p *Payments) RegisterBatch(r *webhook.Receiver) {
	confirm, ok := p.bookings.ConfirmSQL()
	if !ok || p.opts.OnTransition != nil && p.opts.OnPaidSQL == "" {
		return
	}
	apply := `granted AS (
	SELECT w.booking_id, w.actor FROM wanted w JOIN claimed c ON c.event_id = w.event_id
), ` + confirm.Confirm + `, ` + recordPlainSQL
	if p.opts.OnPaidSQL != "" {
		apply += `, paid_told AS (` + p.opts.OnPaidSQL + `
)`
	}
	r.HandleBatch("checkout.session.completed", webhook.Batch{
		Row:    plainRow,
		Choose: plainSQL + `, ` + confirm.Lock + `, ` + choosePlainSQL,
		Apply:  apply,
		Settled: func(ctx context.Context, detail string) {
			bookingID, paymentID, _ := strings.Cut(detail, " ")
			webhook.Annotate(ctx, slog.String("booking_id", bookingID), slog.String("payment_id", paymentID))
		},
	})
}

// plainEvent is a paid Checkout as the statement reads it.
type plainEvent struct {
	EventID   string `json:"event_id"`
	SessionID string `json:"session_id"`
	IntentID  string `json:"intent_id"`
	Total     int64  `json:"total"`
	Currency  string `json:"currency"`
	Actor     string `json:"actor"`
}

// plainRow returns a Checkout that is paid. The statement compares the total.
func plainRow(ctx context.Context, ev webhook.Event) (any, bool) {
	s := checkoutSession{PaymentStatus: ev.PaymentStatus, AmountTotal: &ev.AmountTotal, Currency: ev.Currency}
	total, known := s.total()
	return plainEvent{
		EventID: ev.ID, SessionID: ev.SessionID, IntentID: ev.PaymentIntentID, Total: total.Minor,
		Currency: total.Currency, Actor: booking.Actor(actingAs(ctx, "stripe:"+ev.ID)),
	}, known && s.paid() && ev.SessionID != ""
}

// factlessSQL is true of a payment p that waits for its first fact.
const factlessSQL = `NOT p.completed AND NOT p.failed AND NOT p.expired AND NOT p.parked AND p.disputes = 0
	AND p.captured_minor = 0 AND p.refunded_minor = 0 AND p.refunds_unknown = 0 AND p.unapplied = ''`

// The statement of a plain event: wanted are the payments that the events pay in full,
// one event per booking, because the order of two would matter; held are those whose
// booking is a hold in time, which is locked now; claimed are those whose event is new.
//
// The lock keeps the payments of a booking from changing, but they were read before it. A
// payment that got a fact in between is looked at again when it is updated, and fails the
// statement. Another payment of the booking is not: if it was applied meanwhile, the
// booking is no longer pending, and so is not held; if it was parked or is refunded, it
// does not matter here, and plainSQL leaves such a booking out only because it is rare.
const (
	plainSQL = `wanted AS MATERIALIZED (
	SELECT DISTINCT ON (p.booking_id) p.id AS payment_id, p.booking_id, t.event_id, t.session_id, t.intent_id,
		t.total, t.currency, t.actor
	FROM jsonb_to_recordset($3::jsonb) AS t(event_id text, session_id text, intent_id text, total bigint,
		currency text, actor text)
	JOIN booking_platform.payments p ON p.stripe_session_id = t.session_id
	WHERE p.amount_minor = t.total AND p.currency = t.currency AND ` + factlessSQL + `
		AND NOT EXISTS (SELECT FROM booking_platform.payments o WHERE o.booking_id = p.booking_id AND o.id <> p.id
			AND o.captured_minor > 0)
	ORDER BY p.booking_id, t.event_id
)`
	choosePlainSQL = `chosen AS (
	SELECT w.event_id FROM wanted w JOIN held h ON h.booking_id = w.booking_id
)`
	recordPlainSQL = `paid AS (` + recordFactsSQL + `
	FROM (
		SELECT w.payment_id, w.event_id, w.actor, w.session_id, w.intent_id, w.total AS captured, w.currency,
			true AS completed, false AS failed, false AS expired, '' AS parked, '' AS unapplied, true AS decided
		FROM wanted w JOIN confirmed c ON c.booking_id = w.booking_id
	) AS f
	WHERE p.id = f.payment_id AND ` + factlessSQL + `
	RETURNING p.id AS payment_id, p.booking_id, f.event_id, f.actor, p.captured_minor AS amount_minor,
		p.captured_currency AS currency, p.updated_at AS at
), applied AS (
	SELECT p.event_id, p.booking_id || ' ' || p.payment_id AS detail FROM paid p
)`
)
