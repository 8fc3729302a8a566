package payments

import (
	"context"
	"database/sql"
	"errors"

	"github.com/booking-platform/booking-platform/booking"
)

// Whoever died between the intent and Stripe's answer leaves a row without a session id.
// Its URL was told to nobody.
const forgottenSQL = `
SELECT p.booking_id::text FROM booking_platform.payments p
WHERE NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL AND p.session_expires_at < statement_timestamp()
AND p.account IN ('', $2::text)
LIMIT $1::int`

// Who has either of them locked is not waited for: they are left for the next time.
const lockForgottenSQL = `
SELECT b.id::text FROM booking_platform.bookings b JOIN booking_platform.payments p ON p.booking_id = b.id
WHERE b.id = $1::uuid AND NOT p.completed AND NOT p.expired AND NOT p.failed
FOR NO KEY UPDATE OF b, p SKIP LOCKED`

// Of a booking's payments one at most is open.
const forgetSQL = `
UPDATE booking_platform.payments AS p SET expired = true, updated_at = statement_timestamp()
WHERE p.booking_id = $1::uuid
AND NOT p.completed AND NOT p.expired AND NOT p.failed AND p.stripe_session_id IS NULL AND p.session_expires_at < statement_timestamp()`

// forget ends payments that nobody can pay, 20 at most. Nothing to do is one round trip.
func (p *Payments) forget(ctx context.Context) error {
	var bookings []string
	err := p.read(ctx, "find unbegun payments", func(q booking.Querier) error {
		bookings = nil
		rows, err := q.QueryContext(ctx, forgottenSQL, expireBatch, p.account)
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
			err := tx.QueryRowContext(ctx, lockForgottenSQL, id).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			return p.watch(ctx, tx, id, func() error {
				_, err := tx.ExecContext(ctx, forgetSQL, id)
				return err
			})
		})
	}
	return err
}
