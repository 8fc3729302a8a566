package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
)

// Checkout is where to send the customer.
type Checkout struct {
	// PaymentID is ours; SessionID is Stripe's (cs_…). Both are empty when nothing is to pay.
	PaymentID, SessionID string
	// URL is Stripe's page; empty when nothing is to pay.
	URL string
	// Confirmed is true when nothing was to pay, and the booking is confirmed already.
	Confirmed bool
	// ExpiresAt is when the Checkout Session ends by itself, in UTC.
	ExpiresAt time.Time
}

// Checkout makes the Checkout Session of a held booking, or returns the one it has: called twice, at once or on two replicas,
// there is one. A booking that costs nothing is confirmed at once, without Stripe.
//
// Amount and currency are the booking's. The session ends with the hold, within what Stripe allows, counted when it gets the call:
// not before 30 minutes have passed, and not after a day (https://docs.stripe.com/api/checkout/sessions/create, expires_at). Hold for longer
// than the one, and no customer pays for a slot that is gone; a hold that is longer than the other ends with its session.
//
// The payment row is committed before Stripe is called, and the session's id is stored after, so db must not be a transaction of the
// caller's, and the booking must be committed. Errors: [ErrUnavailable] when Stripe could not be asked: call again, or [Payments.Abandon];
// [ErrNotPayable]; booking.ErrHoldExpired; booking.ErrNotFound. Without a failure it takes four round trips to Postgres and one call to Stripe.
func (p *Payments) Checkout(ctx context.Context, bookingID string) (Checkout, error) {
	b, err := p.bookings.Get(ctx, bookingID)
	if err != nil {
		return Checkout{}, err
	}
	if b.Amount.Minor == 0 {
		if _, err := p.bookings.Confirm(ctx, b.ID); err != nil {
			return Checkout{}, err
		}
		return Checkout{Confirmed: true}, nil
	}
	pay, err := p.intend(ctx, b)
	if err != nil {
		return Checkout{}, err
	}
	if pay.SessionID == "" || pay.URL == "" {
		if pay, err = p.createSession(ctx, pay); err != nil {
			return Checkout{}, err
		}
	}
	return Checkout{PaymentID: pay.ID, SessionID: pay.SessionID, URL: pay.URL, ExpiresAt: pay.ExpiresAt}, nil
}

// A payment is made for a hold that still runs and has none that counts: one that is open, was completed, or has money. The booking is
// locked first, as everywhere, so this waits for whoever is just ending or paying it, and then sees the booking as it became. Of the payments
// it sees those from before the wait, which errs on the side of making none. ON CONFLICT: somebody else has just made the row, which is then read.
const intendSQL = `
WITH held AS (
	SELECT b.id, b.hold_expires_at FROM booking_platform.bookings b
	WHERE b.id = $2::uuid AND b.status = 'pending' AND b.hold_expires_at > statement_timestamp()
	FOR NO KEY UPDATE)
INSERT INTO booking_platform.payments AS p (id, booking_id, amount_minor, currency, parameters, session_expires_at)
SELECT $1::uuid, h.id, $3::bigint, $4::text, $5::json,
       LEAST(GREATEST(h.hold_expires_at, statement_timestamp() + interval '31 minutes'),
             statement_timestamp() + interval '23 hours 55 minutes')
FROM held h
WHERE NOT EXISTS (SELECT FROM booking_platform.payments o
	WHERE o.booking_id = h.id AND (NOT o.expired AND NOT o.failed OR o.captured_minor > 0))
ON CONFLICT DO NOTHING
RETURNING ` + paymentColumns

// The session of a hold that is gone is about to be ended: nobody is sent there any more.
const openForBookingSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p
JOIN booking_platform.bookings b ON b.id = p.booking_id
WHERE p.booking_id = $1::uuid AND NOT p.completed AND NOT p.expired AND NOT p.failed
AND p.session_expires_at > statement_timestamp()
AND b.status = 'pending' AND b.hold_expires_at > statement_timestamp()`

const lapsedSQL = `
SELECT b.status = 'expired' OR b.status = 'pending' AND b.hold_expires_at <= statement_timestamp()
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// intend commits the intent to be paid, with its parameters frozen, or finds the one that is open.
func (p *Payments) intend(ctx context.Context, b booking.Booking) (Payment, error) {
	resource, err := p.bookings.Resource(ctx, b.ResourceID)
	if err != nil {
		return Payment{}, err
	}
	frozen, err := p.freeze(b, resource, p.opts.RequestID(ctx))
	if err != nil {
		return Payment{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("payments: make an id: %w", err)
	}
	pay, err := scanPayment(p.db.QueryRowContext(ctx, intendSQL, id.String(), b.ID, b.Amount.Minor, b.Amount.Currency, frozen))
	if err == nil {
		return pay, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Payment{}, fmt.Errorf("payments: store the intent: %w", err)
	}
	pay, err = scanPayment(p.db.QueryRowContext(ctx, openForBookingSQL, b.ID))
	if err == nil {
		return pay, nil
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return Payment{}, fmt.Errorf("payments: find the open payment: %w", err)
	}
	var lapsed bool
	if err := p.db.QueryRowContext(ctx, lapsedSQL, b.ID).Scan(&lapsed); err != nil {
		return Payment{}, fmt.Errorf("payments: look at the hold: %w", err)
	}
	if lapsed {
		return Payment{}, booking.ErrHoldExpired
	}
	return Payment{}, ErrNotPayable
}

// The event of a session may have come first and have named it already. One whose payment was given up meanwhile is not stored.
const storeSessionSQL = `
UPDATE booking_platform.payments AS p
SET stripe_session_id = $2, checkout_url = $3, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND (p.stripe_session_id IS NULL OR p.stripe_session_id = $2) AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// createSession calls Stripe, outside any transaction, and stores what it answered.
func (p *Payments) createSession(ctx context.Context, pay Payment) (Payment, error) {
	params, err := pay.sessionParams()
	if err != nil {
		return Payment{}, err
	}
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params.Context = callCtx
	s, err := p.sessions.New(params)
	if inUse(err) {
		return p.awaitSession(callCtx, pay)
	}
	if err != nil {
		p.retireKey(ctx, pay, err)
		return Payment{}, p.unavailable(ctx, "create the Checkout Session", pay.ID, err)
	}
	// The session exists now. Its id is stored even when the customer has just gone away.
	storeCtx, cancelStore := context.WithTimeout(context.WithoutCancel(ctx), p.opts.Timeout)
	defer cancelStore()
	stored, err := scanPayment(p.db.QueryRowContext(storeCtx, storeSessionSQL, pay.ID, s.ID, s.URL))
	if errors.Is(err, sql.ErrNoRows) {
		// Nobody is told this session's URL, so nobody pays there, and it ends by itself.
		return Payment{}, fmt.Errorf("payments: the Checkout was given up meanwhile: %w", ErrUnavailable)
	}
	if err != nil {
		return Payment{}, fmt.Errorf("payments: store the Checkout Session: %w", err)
	}
	return stored, nil
}

const byIDSQL = `SELECT ` + paymentColumns + ` FROM booking_platform.payments p WHERE p.id = $1::uuid`

// awaitSession waits for another caller, on whichever replica, whose call under the same key is on its way at Stripe.
func (p *Payments) awaitSession(ctx context.Context, pay Payment) (Payment, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		current, err := p.one(ctx, "await the Checkout Session", byIDSQL, pay.ID)
		if err != nil {
			return Payment{}, err
		}
		if current.failed || current.expired {
			return Payment{}, fmt.Errorf("payments: the other call gave up: %w", ErrUnavailable)
		}
		if current.SessionID != "" && current.URL != "" {
			return current, nil
		}
		select {
		case <-ctx.Done():
			return Payment{}, fmt.Errorf("payments: await the Checkout Session: %w: %w", ErrUnavailable, ctx.Err())
		case <-tick.C:
		}
	}
}

// A payment whose session id is known may be with the customer, and stays.
const abandonSQL = `
UPDATE booking_platform.payments AS p SET failed = true, updated_at = statement_timestamp()
WHERE p.booking_id = $1::uuid AND p.stripe_session_id IS NULL AND NOT p.completed AND NOT p.expired AND NOT p.failed`

const othersOpenSQL = `
SELECT EXISTS (SELECT FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND NOT p.failed AND NOT p.expired)`

// Abandon gives up a checkout that Stripe could not be asked for: the payment is marked failed and the hold released, together.
// A booking whose session is known by now, because another caller got it, is left alone. A session that Stripe made without our
// learning of it has a URL that nobody was told, and ends by itself. Safe to repeat, and on several replicas at once.
func (p *Payments) Abandon(ctx context.Context, bookingID string) error {
	return p.inTx(ctx, "abandon", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		if _, err := bookings.Lock(ctx, bookingID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, abandonSQL, bookingID); err != nil {
			return err
		}
		var others bool
		if err := tx.QueryRowContext(ctx, othersOpenSQL, bookingID).Scan(&others); err != nil || others {
			return err
		}
		return ignoreSettled(bookings.Release(ctx, bookingID))
	})
}

// ignoreSettled passes over a booking that is no longer pending: what it became stands.
func ignoreSettled(_ booking.Booking, err error) error {
	var settled *booking.StatusError
	if errors.As(err, &settled) || errors.Is(err, booking.ErrHoldExpired) {
		return nil
	}
	return err
}

// inTx runs f in a transaction of our own.
func (p *Payments) inTx(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := p.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("payments: %s: %w", what, err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return fmt.Errorf("payments: %s: %w", what, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("payments: %s: %w", what, err)
	}
	return nil
}
