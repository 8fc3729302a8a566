package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"

	"github.com/stripe/stripe-go/v76"
)

// How many sessions one round of the step takes, and for how long it has them to itself.
const (
	expireBatch = 20
	expireLease = 120 // seconds: longer than a batch of calls that all run into their time limit needs in practice
)

// A session is to be ended when its hold is gone, by whatever way, and it could still be paid.
const leaseGoneSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
WHERE p.id IN (
	SELECT o.id FROM booking_platform.payments o JOIN booking_platform.bookings b ON b.id = o.booking_id
	WHERE NOT o.completed AND NOT o.expired AND NOT o.failed AND o.stripe_session_id IS NOT NULL
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND (b.status IN ('expired', 'cancelled') OR (b.status = 'pending' AND b.hold_expires_at <= statement_timestamp()))
	ORDER BY o.session_expires_at LIMIT $2::int
	FOR UPDATE OF o SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, p.stripe_session_id`

// Whoever died between the intent and Stripe's answer leaves a row without a session id. Its URL was told to nobody.
const forgetSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL
AND p.session_expires_at < statement_timestamp()`

const markExpiredSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND NOT p.completed`

// ExpireSessions is one step: it ends, at Stripe, the Checkout Sessions whose hold is gone, so that nobody pays for a slot that
// another can take, and gives the slot back. Run it before booking.ReleaseExpired, every few seconds. It returns how many it ended.
//
// A session that Stripe will not end, because the customer has just paid, is left alone: the payment wins, and its event settles it.
// Each session is leased in the database before the call, so the step is safe on every replica at once, and no transaction is
// open while Stripe is asked.
func (p *Payments) ExpireSessions(ctx context.Context) (int, error) {
	if _, err := p.db.ExecContext(ctx, forgetSQL); err != nil {
		return 0, fmt.Errorf("payments: forget unbegun payments: %w", err)
	}
	gone, err := p.leaseGone(ctx)
	if err != nil {
		return 0, fmt.Errorf("payments: lease sessions: %w", err)
	}
	ended := 0
	var failures []error
	for _, g := range gone {
		ok, err := p.expireSession(ctx, g)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if ok {
			ended++
		}
	}
	return ended, errors.Join(failures...)
}

type leased struct{ paymentID, bookingID, sessionID string }

func (p *Payments) leaseGone(ctx context.Context) ([]leased, error) {
	rows, err := p.db.QueryContext(ctx, leaseGoneSQL, expireLease, expireBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []leased
	for rows.Next() {
		var l leased
		if err := rows.Scan(&l.paymentID, &l.bookingID, &l.sessionID); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// expireSession asks Stripe, then records the answer.
func (p *Payments) expireSession(ctx context.Context, l leased) (bool, error) {
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params := &stripe.CheckoutSessionExpireParams{}
	params.Context = callCtx
	// Without a fixed key: ending a session twice is harmless, while a stored failure would be replayed for a day.
	_, err := p.sessions.Expire(l.sessionID, params)
	if err != nil {
		current, getErr := p.sessionStatus(callCtx, l.sessionID)
		switch {
		case getErr != nil:
			return false, p.unavailable(ctx, "expire the Checkout Session", l.paymentID, err)
		case current == stripe.CheckoutSessionStatusComplete:
			return false, nil
		case current == stripe.CheckoutSessionStatusOpen:
			return false, p.unavailable(ctx, "expire the Checkout Session", l.paymentID, err)
		}
	}
	return true, p.inTx(ctx, "record an expired session", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		if _, err := bookings.Lock(ctx, l.bookingID); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, markExpiredSQL, l.paymentID)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return ignoreSettled(bookings.Expire(ctx, l.bookingID))
	})
}

// sessionStatus asks what a session has become. One that Stripe does not know counts as expired.
func (p *Payments) sessionStatus(ctx context.Context, id string) (stripe.CheckoutSessionStatus, error) {
	params := &stripe.CheckoutSessionParams{}
	params.Context = ctx
	s, err := p.sessions.Get(id, params)
	var se *stripe.Error
	if errors.As(err, &se) && se.HTTPStatusCode == http.StatusNotFound {
		return stripe.CheckoutSessionStatusExpired, nil
	}
	if err != nil {
		return "", err
	}
	return s.Status, nil
}
