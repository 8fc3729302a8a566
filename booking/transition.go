package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// transition is a change of one booking in one UPDATE; if that changes nothing, a SELECT
// finds out why.
type transition struct {
	op string
	// sql changes the booking $1 if its status, and sometimes the clock, allows it, and
	// returns bookingColumns. Those made by recorded have the actor as $2 and the reason
	// as $3.
	sql string
	// from are the statuses that allow it.
	from []Status
	// settled is the status in which there is nothing to do and the booking is returned;
	// "" for none.
	settled Status
	// hold makes an expired booking ErrHoldExpired.
	hold bool
	// clock requires that the hold has not expired and its slot has not begun.
	clock bool
	// refused returns why a booking in one of the statuses was not changed; nil if it can
	// be changed by now. May be nil.
	refused func(bookingRow) error
}

const bookingByIDSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// storedColumns are what bookingColumns reads, for RETURNING.
const storedColumns = `
        b.id, b.kind, b.resource_id, b.offer, b.during, b.party, b.status, b.hold_expires_at, b.first_name, b.last_name,
        b.email, b.amount_minor, b.currency, b.policy, b.refund_minor, b.late_refund_minor, b.sequence, b.owner_secret,
        b.owner_nonce, b.reference, b.idempotency_key, b.request_hash, b.metadata, b.created_at, b.updated_at`

// recorded makes a statement of an UPDATE of bookings b that also records the change of
// status and returns bookingColumns. was is the status before: the only one that the
// UPDATE allows, or a column of a row that the statement has locked.
func recorded(update, was string) string {
	return `
WITH changed AS (` + update + `
    RETURNING ` + was + ` AS was,` + storedColumns + `
), recorded AS (` + recordSQL + `
    SELECT c.id, c.was, c.status, NULL, NULL, $2::text, $3::text FROM changed c
)
SELECT` + bookingColumns + `
FROM changed b`
}

func (t transition) do(ctx context.Context, run runner, id string, args ...any) (Booking, error) {
	var b Booking
	err := run(ctx, func(q Querier) (err error) {
		b, err = t.step(ctx, q, id, args)
		return err
	})
	return b, wrap(ctx, t.op, err)
}

func (t transition) step(ctx context.Context, q Querier, id string, args []any) (Booking, error) {
	if !isID(id) {
		return Booking{}, ErrNotFound
	}
	// The status may change between the UPDATE and the SELECT, so retry a few times.
	for range 3 {
		row, changed, err := selectOne[bookingRow](ctx, q, t.sql, append([]any{strings.ToLower(id)}, args...)...)
		if err != nil {
			return Booking{}, err
		}
		if changed {
			return row.booking()
		}
		row, found, err := selectOne[bookingRow](ctx, q, bookingByIDSQL, strings.ToLower(id))
		switch {
		case err != nil:
			return Booking{}, err
		case !found:
			return Booking{}, ErrNotFound
		case row.Status == t.settled:
			return row.booking()
		case t.hold && (row.Status == StatusExpired || t.clock && row.Status == StatusPending &&
			(row.Lapsed || row.Begun)):
			return Booking{}, ErrHoldExpired
		case !slices.Contains(t.from, row.Status):
			return Booking{}, &StatusError{ID: row.ID, Status: row.Status, Op: t.op}
		}
		if t.refused != nil {
			if err := t.refused(row); err != nil {
				return Booking{}, err
			}
		}
	}
	return Booking{}, fmt.Errorf("the booking changes all the time: %w", errRetry)
}

var confirm = transition{
	op: "confirm", from: []Status{StatusPending}, settled: StatusConfirmed, hold: true, clock: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'
      AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`, `'pending'`),
}

// Confirm confirms a hold. A confirmed booking is returned unchanged, so the call may be
// repeated. The errors are [ErrHoldExpired] if the hold has expired or its slot has
// begun, by the database's clock; [ErrNotFound]; and a [*StatusError] for a cancelled or
// completed booking and a no-show.
//
// One round trip when it confirms; it changes no index. Safe on several replicas, against
// releases and expiry too.
func (s *Store) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, s.run, id, Actor(ctx), "")
}

var confirmLate = transition{
	op: "confirm", from: []Status{StatusPending}, settled: StatusConfirmed, hold: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending' AND lower(b.during) > statement_timestamp()`, `'pending'`),
	refused: func(row bookingRow) error {
		if row.Begun {
			return ErrSlotGone
		}
		return nil
	},
}

// ConfirmLate is [Store.Confirm] for a payment that has already arrived: it also confirms
// an expired hold that was not released yet and whose slot has not begun. After the
// release the error is [ErrHoldExpired]; if the slot has begun it is [ErrSlotGone], and
// the payment has to be refunded. One round trip when it confirms.
func (s *Store) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, s.run, id, Actor(ctx), "")
}

// A time before the hold's end changes nothing, and one that has passed does not revive a
// hold. The resource's rules are read without waiting for a change of them.
var extend = transition{
	op: "extend", from: []Status{StatusPending}, hold: true, clock: true,
	sql: `
UPDATE booking_platform.bookings b
SET hold_expires_at = ` + extendedSQL + `, updated_at = statement_timestamp()
FROM booking_platform.resources r
WHERE b.id = $1::uuid AND b.status = 'pending' AND r.id = b.resource_id
  AND ` + extendedSQL + ` > statement_timestamp()
RETURNING` + bookingColumns,
}

// extendedSQL is the end of a hold b of a resource r that is extended to $2.
const extendedSQL = `LEAST(lower(b.during), GREATEST(b.hold_expires_at,
        LEAST($2::timestamptz, b.created_at + make_interval(secs => r.hold_cap_seconds))))`

// Extend moves the end of a hold to until, but not beyond the HoldCap of its resource,
// counted from when it was made, nor beyond the start of its slot, and never back. The
// booking returned has the new end. An expired hold that was not released yet is revived,
// unless the cap has passed too.
//
// The errors are [ErrHoldExpired] if the hold was released, its slot has begun, or it has
// expired and until or the cap has passed; [ErrNotFound]; a [*StatusError] for a booking
// that is no longer pending; and a [*ValidationError] for until. Safe on several
// replicas; one round trip when it extends.
func (s *Store) Extend(ctx context.Context, id string, until time.Time) (Booking, error) {
	return extendTo(ctx, s.run, id, until)
}

func extendTo(ctx context.Context, run runner, id string, until time.Time) (Booking, error) {
	p := problems{}
	p.add("until", instantProblem(until))
	if err := p.err(); err != nil {
		return Booking{}, wrap(ctx, extend.op, err)
	}
	return extend.do(ctx, run, id, until.UTC())
}

// Confirmation names a booking to confirm, and the actor; see [WithActor].
type Confirmation struct {
	ID    string `json:"id"`
	Actor string `json:"actor"`
}

// SKIP LOCKED: it never waits for a lock, and so is part of no deadlock.
const confirmSeveralSQL = `
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.actor FROM jsonb_to_recordset($1::jsonb) AS w(id uuid, actor text)
), locked AS MATERIALIZED (
    SELECT b.id FROM booking_platform.bookings b
    WHERE b.id IN (SELECT w.id FROM wanted w) AND b.status = 'pending' AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
    FOR NO KEY UPDATE OF b SKIP LOCKED
), changed AS (
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    FROM locked l WHERE b.id = l.id AND b.status = 'pending'
      AND LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()
    RETURNING b.id
), recorded AS (` + recordSQL + `
    SELECT c.id, 'pending', 'confirmed', NULL, NULL, w.actor, '' FROM changed c JOIN wanted w ON w.id = c.id
)
SELECT c.id::text AS id FROM changed c`

// ConfirmSeveral confirms those bookings that are unexpired holds, and returns their ids.
// It skips the others without a reason: those no longer pending, expired, unknown, named
// twice or locked by another transaction. The bookings it confirms stay locked until the
// transaction ends. One round trip.
func (t *Tx) ConfirmSeveral(ctx context.Context, wanted []Confirmation) ([]string, error) {
	valid := make([]Confirmation, 0, len(wanted))
	named := map[string]int{}
	for _, w := range wanted {
		w.ID = strings.ToLower(w.ID)
		named[w.ID]++
		if isID(w.ID) {
			valid = append(valid, w)
		}
	}
	once := valid[:0]
	for _, w := range valid {
		if named[w.ID] == 1 {
			once = append(once, w)
		}
	}
	if len(once) == 0 {
		return nil, nil
	}
	// Strings cannot fail.
	text, _ := json.Marshal(once)
	type row struct {
		ID string `db:"id"`
	}
	rows, err := selectAll[row](ctx, t.q, confirmSeveralSQL, string(text))
	if err != nil {
		return nil, wrap(ctx, "confirm several", err)
	}
	ids := make([]string, len(rows))
	for n, row := range rows {
		ids[n] = row.ID
	}
	return ids, nil
}

var release = transition{
	op: "release", from: []Status{StatusPending},
	sql: recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', idempotency_key = NULL, updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Release ends a hold early: it frees the units and the idempotency key, so that the same
// request can be made again. The errors are a [*StatusError] for a booking that is not
// pending, which stays as it is, and [ErrNotFound]. Safe on several replicas; one round
// trip when it releases.
func (s *Store) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, s.run, id, Actor(ctx), "")
}

// Complete records that a confirmed booking took place. It must have begun, by the
// database's clock. Its units stay taken until the buffer after the slot is over; without
// a buffer they are free at once. A no-show becomes completed, so the record can be
// corrected; a completed booking is returned unchanged.
//
// The errors are [ErrNotBegun], a [*StatusError] for a booking in another status and for
// a block, and [ErrNotFound]. Safe on several replicas; one round trip when it completes.
func (s *Store) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, s.run, id, Actor(ctx), "")
}

// Complete is [Store.Complete] in the caller's transaction. One round trip when it
// completes.
func (t *Tx) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, t.run, id, Actor(ctx), "")
}

// NoShow records that the customer of a confirmed booking did not come. It is
// [Store.Complete] with another status, with the same conditions, errors and round trips.
// It refunds nothing; to refund a part, cancel the booking instead.
func (s *Store) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, s.run, id, Actor(ctx), "")
}

// NoShow is [Store.NoShow] in the caller's transaction. One round trip when it changes
// the booking.
func (t *Tx) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, t.run, id, Actor(ctx), "")
}

var (
	complete = transition{
		op: "complete", from: []Status{StatusConfirmed, StatusNoShow}, settled: StatusCompleted,
		refused: hasNotBegun("complete"),
		sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'completed', updated_at = statement_timestamp()
    FROM (
        SELECT o.id, o.status FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('confirmed', 'no_show') AND o.kind = 'booking' AND lower(o.during) <= statement_timestamp()
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id`, `old.status`),
	}
	noShow = transition{
		op: "no-show", from: []Status{StatusConfirmed, StatusCompleted}, settled: StatusNoShow,
		refused: hasNotBegun("no-show"),
		sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'no_show', updated_at = statement_timestamp()
    FROM (
        SELECT o.id, o.status FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('confirmed', 'completed') AND o.kind = 'booking' AND lower(o.during) <= statement_timestamp()
        FOR NO KEY UPDATE
    ) old
    WHERE b.id = old.id`, `old.status`),
	}
)

func hasNotBegun(op string) func(bookingRow) error {
	return func(row bookingRow) error {
		switch {
		case row.Kind != KindBooking:
			return &StatusError{ID: row.ID, Status: row.Status, Op: op}
		case !row.Begun:
			return ErrNotBegun
		}
		return nil
	}
}

var expire = transition{
	op: "expire", from: []Status{StatusPending}, settled: StatusExpired,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'expired', updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Expire ends a hold early because it can no longer be paid, for example because its
// Checkout Session has expired, and frees its units. Unlike [Tx.Release] it leaves the
// status Expired and the idempotency key in use. An expired booking is returned
// unchanged. The errors are [ErrNotFound], and a [*StatusError] for a booking that is no
// longer pending. One round trip when it expires.
func (t *Tx) Expire(ctx context.Context, id string) (Booking, error) {
	return expire.do(ctx, t.run, id, Actor(ctx), "")
}
