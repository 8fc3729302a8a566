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

// The first parking reason is kept and ids are set once. $11 means that the money is
// decided on: the payment is no longer parked and captured is what was decided on.
const recordSQL = `
UPDATE booking_platform.payments AS p SET
	stripe_session_id = coalesce(p.stripe_session_id, nullif($2::text, '')),
	stripe_payment_intent_id = coalesce(p.stripe_payment_intent_id, nullif($3::text, '')),
	completed = p.completed OR $4::boolean,
	failed = p.failed OR $5::boolean,
	expired = p.expired OR $6::boolean,
	captured_minor = CASE WHEN p.parked AND $11::boolean THEN $7::bigint
		ELSE GREATEST(p.captured_minor, $7::bigint) END,
	captured_currency = CASE WHEN p.captured_minor > 0 AND NOT (p.parked AND $11::boolean) THEN p.captured_currency
		ELSE $9::text END,
	parked = NOT $11::boolean AND (p.parked OR $8::text <> ''),
	parked_reason = CASE WHEN $11::boolean THEN '' WHEN p.parked THEN p.parked_reason ELSE $8::text END,
	unapplied = CASE WHEN p.unapplied = '' THEN $10::text ELSE p.unapplied END,
	updated_at = statement_timestamp()
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
