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
	// expireBatch is how many sessions one run of the step takes at most.
	expireBatch = 20
	// expireLease, in seconds, is for how long a session is left to whoever took it:
	// longer than asking Stripe about one takes. It is also how long one that failed has
	// to wait.
	expireLease = 120
)

// A session is to be ended when its hold is gone, by whatever way, and it could still be
// paid. Should it turn out to be paid, its hold is kept until the time that is returned,
// so that its event finds the slot: a quarter of an hour at a time, but not beyond its
// start.
const leaseSessionSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
FROM booking_platform.bookings h
WHERE h.id = p.booking_id AND p.id = (
	SELECT o.id FROM booking_platform.payments o JOIN booking_platform.bookings b ON b.id = o.booking_id
	WHERE NOT o.completed AND NOT o.expired AND NOT o.failed AND o.stripe_session_id IS NOT NULL
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND o.account IN ('', $2::text)
	AND (b.status IN ('expired', 'cancelled') OR (b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) <= statement_timestamp()))
	ORDER BY o.session_expires_at LIMIT 1
	FOR UPDATE OF o SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, p.stripe_session_id,
	LEAST(lower(h.during), statement_timestamp() + interval '15 minutes')`

const markExpiredSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND NOT p.completed`

// ExpireSessions is one step: it ends, at Stripe, the Checkout Sessions whose hold is
// gone, so that nobody pays for a slot that another can take, and gives the slot back.
// Run it before booking.ReleaseExpired, every few seconds. It returns how many it ended,
// 20 at most; nothing to do is two round trips.
//
// A session that Stripe will not end, because the customer has just paid, is left alone:
// the payment wins, and is applied at once. While a bank makes up its mind about it, its
// hold is kept.
//
// Each session is leased in the database before the call, so the step is safe on every
// replica at once, and no transaction is open while Stripe is asked. The history of a
// hold that it ends names "payments", unless the context names an actor. It goes on after
// a session that failed, and returns what failed; it ends with ctx.
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
		l, found, err := p.leaseSession(ctx)
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
	return ended, errors.Join(failures...)
}

type leasedSession struct {
	paymentID, bookingID, sessionID string
	keepUntil                       time.Time
}

func (p *Payments) leaseSession(ctx context.Context) (leasedSession, bool, error) {
	var l leasedSession
	err := p.inTxRetry(ctx, "lease a session", func(q *sql.Tx) error {
		return q.QueryRowContext(ctx, leaseSessionSQL, expireLease, p.account).Scan(&l.paymentID, &l.bookingID,
			&l.sessionID, &l.keepUntil)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return leasedSession{}, false, nil
	}
	return l, err == nil, err
}

// expireSession asks Stripe, then records the answer; true when the session has ended.
func (p *Payments) expireSession(ctx context.Context, l leasedSession) (bool, error) {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params := &stripe.CheckoutSessionExpireParams{}
	params.Context = callCtx
	// Without a fixed key: ending a session twice is harmless, while a stored failure
	// would be replayed for a day.
	_, err := p.sessions.Expire(l.sessionID, params)
	if err != nil {
		current, getErr := p.sessionStatus(callCtx, l.sessionID)
		switch {
		case getErr == nil && current == stripe.CheckoutSessionStatusComplete:
			// The customer has just paid, or has begun to: what has come is applied at
			// once, and the hold is kept for what has not.
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

// sessionStatus asks what a session has become. One that Stripe does not know is an
// error, but for Options.MissingIsGone.
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

// Whoever died between the intent and Stripe's answer leaves a row without a session id.
// Its URL was told to nobody.
const unstartedSQL = `
SELECT p.booking_id::text FROM booking_platform.payments p
WHERE NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL AND p.session_expires_at < statement_timestamp()
AND p.account IN ('', $2::text)
LIMIT $1::int`

// Who has either of them locked is not waited for: they are left for the next time.
const lockUnstartedSQL = `
SELECT b.id::text FROM booking_platform.bookings b JOIN booking_platform.payments p ON p.booking_id = b.id
WHERE b.id = $1::uuid AND NOT p.completed AND NOT p.expired AND NOT p.failed
FOR NO KEY UPDATE OF b, p SKIP LOCKED`

// Of a booking's payments one at most is open.
const expireUnstartedSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE p.booking_id = $1::uuid
AND NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL AND p.session_expires_at < statement_timestamp()`

// expireUnstarted ends payments that nobody can pay, 20 at most. Nothing to do is one round trip.
func (p *Payments) expireUnstarted(ctx context.Context) error {
	var bookings []string
	err := p.read(ctx, "find unbegun payments", func(q booking.Querier) error {
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
		err = p.inTx(ctx, "forget an unbegun payment", func(tx *sql.Tx) error {
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
