package booking

import (
	"context"
	"strings"
)

// NO KEY: a row that refers to the booking by a foreign key may be inserted meanwhile.
const lockSQL = bookingByIDSQL + ` FOR NO KEY UPDATE OF b`

// Lock returns a booking and keeps everyone else from changing it until the caller's
// transaction ends: for who decides on what it sees, as payments does when money arrives.
// It waits for whoever is changing the booking, up to lock_timeout. Lock the booking
// before anything that belongs to it; everybody here does. The error is [ErrNotFound]
// when there is none. One round trip.
func (t *Tx) Lock(ctx context.Context, id string) (Booking, error) {
	if !isID(id) {
		return Booking{}, wrap(ctx, "lock", ErrNotFound)
	}
	row, found, err := selectOne[bookingRow](ctx, t.q, lockSQL, strings.ToLower(id))
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return Booking{}, wrap(ctx, "lock", err)
	}
	b, err := row.booking()
	return b, wrap(ctx, "lock", err)
}

// LockWithResource is [Tx.Lock] for who may have to [Tx.Retake] or [Tx.Reschedule] the
// booking afterwards: it locks the booking's resource first, as those do, so that two
// such transactions do not wait for each other. Other moves on the resource wait until
// the transaction ends; holds do not. One round trip.
func (t *Tx) LockWithResource(ctx context.Context, id string) (Booking, error) {
	_, row, err := lockBooking(ctx, t.q, id)
	if err != nil {
		return Booking{}, wrap(ctx, "lock", err)
	}
	b, err := row.booking()
	return b, wrap(ctx, "lock", err)
}

var expire = transition{
	op: "expire", from: []Status{Pending}, settled: Expired,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Expire ends a hold before its time, because nothing can come of it any more: its
// Checkout Session has expired, say. The units are free again. Unlike [Tx.Release] it is
// an end like that of time: the status is Expired, and the idempotency key stays taken.
// Expiring an expired one answers it again. The errors are [ErrNotFound], and a
// [*StatusError] for a booking that is no longer pending. One round trip when it expires.
func (t *Tx) Expire(ctx context.Context, id string) (Booking, error) {
	return expire.do(ctx, t.run, id, actorOf(ctx), "")
}
