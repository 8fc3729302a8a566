package payments

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

const (
	expireBatch = 20
	// expireLease, in seconds, is longer than the calls for one session take, and the
	// pause after a failure.
	expireLease = 120
)

// notPayableSQL is true for an open payment o whose booking b needs no payment any more:
// its hold is gone, or other money paid for it.
const notPayableSQL = `(b.status IN ('expired', 'cancelled')
	OR (b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) <= statement_timestamp())
	OR (b.status = 'confirmed' AND EXISTS (SELECT FROM booking_platform.payments m WHERE m.booking_id = b.id
		AND m.id <> o.id AND m.captured_minor > 0 AND m.kind <> 'checkout')))`

// Leases an unpaid session whose hold is gone, that of a booking or the one that ends
// first. If it turns out to be completed, its hold is kept until the returned time, so that
// the payment finds the slot.
const leaseSessionSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
FROM booking_platform.bookings h
WHERE h.id = p.booking_id AND p.id = (
	SELECT o.id FROM booking_platform.payments o JOIN booking_platform.bookings b ON b.id = o.booking_id
	WHERE NOT o.completed AND NOT o.expired AND NOT o.failed AND o.stripe_session_id IS NOT NULL
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND o.account IN ('', $2::text) AND ($3::text = '' OR o.booking_id = NULLIF($3::text, '')::uuid)
	AND ` + notPayableSQL + `
	ORDER BY o.session_expires_at LIMIT 1
	FOR UPDATE OF o SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, p.stripe_session_id,
	LEAST(lower(h.during), statement_timestamp() + interval '15 minutes')`

const markExpiredSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND NOT p.completed`

// ExpireSessions is a step that expires the Checkout Sessions whose hold is gone, so that
// no customer pays for a slot that others can take, and releases the holds. Run it every
// few seconds. It also cancels the adopted PaymentIntents whose hold is gone, or whose
// delayed payment failed. It returns how many it ended, at most 20. With nothing to do it
// takes three round trips.
//
// If the customer has just paid, the payment wins and is applied at once. While a delayed
// payment method is pending, its hold is kept.
//
// Each session is leased before the call, outside any transaction, so the step is safe on
// every replica. The history of a released hold names the actor "payments" unless the
// context names one. The step continues after a failure and returns the failures joined.
func (p *Payments) ExpireSessions(ctx context.Context) (int, error) {
	if err := p.expireUnstarted(ctx); err != nil {
		return 0, err
	}
	ctx = inBackground(ctx)
	ended := 0
	var failures []error
	for range expireBatch {
		if p.paused() {
			break
		}
		l, found, err := p.leaseSession(ctx, "")
		if err != nil {
			failures = append(failures, err)
			break
		}
		if !found {
			break
		}
		ok, err := p.expireSession(ctx, l)
		if err != nil {
			failures = append(failures, err)
		}
		if ok {
			ended++
		}
	}
	cancelled, err := p.cancelIntents(ctx, expireBatch-ended)
	return ended + cancelled, errors.Join(append(failures, err)...)
}

type leasedSession struct {
	paymentID, bookingID, sessionID string
	keepUntil                       time.Time
}

// leaseSession leases the session of a booking, or with "" the one that ends first.
func (p *Payments) leaseSession(ctx context.Context, bookingID string) (leasedSession, bool, error) {
	var l leasedSession
	err := p.inTxRetry(ctx, "lease a session", func(q *sql.Tx) error {
		return q.QueryRowContext(ctx, leaseSessionSQL, expireLease, p.account, bookingID).Scan(&l.paymentID,
			&l.bookingID, &l.sessionID, &l.keepUntil)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return leasedSession{}, false, nil
	}
	return l, err == nil, err
}

// expireSession calls Stripe and records the answer. It reports whether the session has
// ended.
func (p *Payments) expireSession(ctx context.Context, l leasedSession) (bool, error) {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params := &stripe.CheckoutSessionExpireParams{}
	params.Context = callCtx
	// No idempotency key: expiring twice is harmless, and a stored failure would be
	// replayed for a day.
	_, err := p.sessions.Expire(l.sessionID, params)
	if err != nil {
		current, getErr := p.sessionStatus(callCtx, l.sessionID)
		switch {
		case getErr == nil && current == stripe.CheckoutSessionStatusComplete:
			// Completed: apply what was paid, and keep the hold for a pending payment
			// method.
			if err := ignoreNotPending(p.bookings.Extend(ctx, l.bookingID, l.keepUntil)); err != nil {
				return false, err
			}
			pay, err := p.BySession(ctx, l.sessionID)
			if err == nil {
				_, err = p.reconcile(ctx, pay)
			}
			return false, err
		case getErr != nil || current != stripe.CheckoutSessionStatusExpired:
			return false, p.unavailable(ctx, "expire the Checkout Session", l.paymentID, err)
		}
	}
	err = p.inTx(ctx, "record an expired session", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		if _, err := bookings.Lock(ctx, l.bookingID); err != nil {
			return err
		}
		return p.observe(ctx, tx, l.bookingID, func() error {
			result, err := tx.ExecContext(ctx, markExpiredSQL, l.paymentID)
			if err != nil {
				return err
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return err
			}
			return ignoreNotPending(bookings.Expire(ctx, l.bookingID))
		})
	})
	return err == nil, err
}

// An unknown session is an error, except with Options.MissingIsGone.
func (p *Payments) sessionStatus(ctx context.Context, id string) (stripe.CheckoutSessionStatus, error) {
	params := &stripe.CheckoutSessionParams{}
	params.Context = ctx
	s, err := p.sessions.Get(id, params)
	if p.gone(err) {
		return stripe.CheckoutSessionStatusExpired, nil
	}
	if err != nil {
		return "", err
	}
	return s.Status, nil
}

// A crash before Stripe's answer leaves a row without a session id, whose session no
// customer can pay.
const unstartedSQL = `
SELECT p.booking_id::text FROM booking_platform.payments p
WHERE p.kind = 'checkout' AND NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL
	AND p.session_expires_at < statement_timestamp()
AND p.account IN ('', $2::text)
LIMIT $1::int`

// Locked rows are left to the next run.
const lockUnstartedSQL = `
SELECT b.id::text FROM booking_platform.bookings b JOIN booking_platform.payments p ON p.booking_id = b.id
WHERE b.id = $1::uuid AND NOT p.completed AND NOT p.expired AND NOT p.failed
FOR NO KEY UPDATE OF b, p SKIP LOCKED`

// At most one payment of a booking is open.
const expireUnstartedSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE p.booking_id = $1::uuid AND p.kind = 'checkout'
AND NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL
	AND p.session_expires_at < statement_timestamp()`

// expireUnstarted expires up to 20 payments without a session. With nothing to do it
// takes one round trip.
func (p *Payments) expireUnstarted(ctx context.Context) error {
	var bookings []string
	err := p.read(ctx, "find unstarted payments", func(q booking.Querier) error {
		bookings = nil
		rows, err := q.QueryContext(ctx, unstartedSQL, expireBatch, p.account)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			bookings = append(bookings, id)
		}
		return rows.Err()
	})
	for _, id := range bookings {
		if err != nil {
			return err
		}
		err = p.inTx(ctx, "expire an unstarted payment", func(tx *sql.Tx) error {
			err := tx.QueryRowContext(ctx, lockUnstartedSQL, id).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			return p.observe(ctx, tx, id, func() error {
				_, err := tx.ExecContext(ctx, expireUnstartedSQL, id)
				return err
			})
		})
	}
	return err
}
