package payments

import (
	"context"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// facts are what an event adds to a payment. They are never removed.
type facts struct {
	completed, failed, expired bool
	captured                   booking.Money
	parked, unapplied          string
}

// recordFactsSQL adds facts f to a payment p; the WHERE clause is the caller's. The first
// parking reason is kept and ids are set once. decided means that the money is decided on:
// the payment is no longer parked and captured is what was decided on.
const recordFactsSQL = `
UPDATE booking_platform.payments AS p SET
	stripe_session_id = coalesce(p.stripe_session_id, nullif(f.session_id, '')),
	stripe_payment_intent_id = coalesce(p.stripe_payment_intent_id, nullif(f.intent_id, '')),
	completed = p.completed OR f.completed,
	failed = p.failed OR f.failed,
	expired = p.expired OR f.expired,
	captured_minor = CASE WHEN p.parked AND f.decided THEN f.captured
		ELSE GREATEST(p.captured_minor, f.captured) END,
	captured_currency = CASE WHEN p.captured_minor > 0 AND NOT (p.parked AND f.decided) THEN p.captured_currency
		ELSE f.currency END,
	parked = NOT f.decided AND (p.parked OR f.parked <> ''),
	parked_reason = CASE WHEN f.decided THEN '' WHEN p.parked THEN p.parked_reason ELSE f.parked END,
	unapplied = CASE WHEN p.unapplied = '' THEN f.unapplied ELSE p.unapplied END,
	updated_at = statement_timestamp()`

const recordSQL = recordFactsSQL + `
FROM (SELECT $2::text AS session_id, $3::text AS intent_id, $4::boolean AS completed, $5::boolean AS failed,
	$6::boolean AS expired, $7::bigint AS captured, $8::text AS parked, $9::text AS currency,
	$10::text AS unapplied, $11::boolean AS decided) AS f
WHERE p.id = $1::uuid`

func (e lockedEvent) record(ctx context.Context, f facts) error {
	decided := f.captured.Minor > 0 && f.parked == ""
	_, err := e.tx.ExecContext(ctx, recordSQL, e.payment.ID, e.event.SessionID, e.event.PaymentIntentID,
		f.completed, f.failed, f.expired, f.captured.Minor, f.parked, f.captured.Currency, f.unapplied, decided)
	return err
}

const decidedSQL = `
SELECT coalesce(bool_or(p.id = $2::uuid AND NOT p.parked), false),
	coalesce(bool_or(p.id <> $2::uuid AND NOT p.parked AND p.unapplied = ''), false),
	coalesce(bool_or(p.id = $2::uuid AND p.parked AND (p.refund_committed > 0 OR p.refunds_unknown > 0
		OR p.dispute_lost_minor > 0)), false)
FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND p.captured_minor > 0`

type decisions struct {
	// this: this payment's money is decided on. other: another payment pays for the
	// booking.
	this, other bool
	// goneBack: this payment is parked and partly refunded, or about to be.
	goneBack bool
}

// readDecisions reads what the booking's lock keeps from changing.
func (e lockedEvent) readDecisions(ctx context.Context) (d decisions, err error) {
	err = e.tx.QueryRowContext(ctx, decidedSQL, e.booking.ID, e.payment.ID).Scan(&d.this, &d.other, &d.goneBack)
	return d, err
}

const othersAliveSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p
WHERE p.booking_id = $1::uuid AND p.id <> $2::uuid AND NOT p.expired AND NOT p.failed)`

// databaseTime returns the database's clock, by which holds are judged.
func (e lockedEvent) databaseTime(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := e.tx.QueryRowContext(ctx, `SELECT statement_timestamp()`).Scan(&now)
	return now, err
}
