package booking

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// transition is a change of one booking in one UPDATE; if that changes nothing, a SELECT
// finds out why.
type transition struct {
	op string
	// sql changes the booking $1 if its status and the clock allow it, and returns
	// bookingColumns, and was if the history records the change. $2 is then the actor and
	// $3 the reason.
	sql  string
	from []Status
	// settled is the status in which there is nothing to do; "" for none.
	settled Status
	// hold makes an expired booking ErrHoldExpired.
	hold bool
	// clock requires an unexpired hold whose slot has not begun.
	clock bool
	// undo is that of [changedRow.tell]. May be nil.
	undo func(*Booking)
	// refused returns why a booking in one of the statuses was not changed, or nil if it
	// may be retried. May be nil.
	refused func(bookingRow) error
}

const bookingByIDSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// storedColumns are what bookingColumns reads, for RETURNING.
const storedColumns = `
        b.id, b.number, b.kind, b.resource_id, b.offer, b.during, b.party, b.status, b.hold_expires_at, b.first_name, b.last_name,
        b.email, b.phone, b.note, b.language, b.amount_minor, b.currency, b.policy, b.refund_minor, b.late_refund_minor, b.sequence,
        b.owner_secret, b.owner_nonce, b.reference, b.idempotency_key, b.request_hash, b.metadata, b.created_at, b.updated_at`

// recorded returns an UPDATE of bookings b that records the change of status and returns
// was and bookingColumns. was is the status before: the only one the UPDATE allows, or a
// column of a row the statement has locked.
func recorded(update, was string) string {
	return `
WITH changed AS (` + update + `
    RETURNING ` + was + ` AS was,` + storedColumns + `
), recorded AS (` + recordSQL + `
    SELECT c.id, c.was, c.status, NULL, NULL, $2::text, $3::text FROM changed c
)
SELECT b.was, ` + bookingColumns + `
FROM changed b`
}

// changedRow is the result of a transition.
type changedRow struct {
	// Was is the status before, or "" if the history does not record the change.
	Was Status `db:"was"`
	bookingRow
}

// tell returns the booking after a change of its status, and tells OnChange about it.
// undo, if not nil, undoes on the booking before what the change did besides.
func (row changedRow) tell(ctx context.Context, s *Store, q Querier, undo func(*Booking), actor,
	reason string) (Booking, error) {
	b, err := row.booking()
	if err != nil || row.Was == "" || s.onChange == nil {
		return b, err
	}
	c := changed(row.Was, b, actor, reason)
	if undo != nil {
		undo(&c.Before)
	}
	return b, s.tell(ctx, q, c)
}

// do runs the transition. args follow the id in sql; the first two are the actor and the
// reason, if the history records it.
func (t transition) do(ctx context.Context, s *Store, run runner, id string, args ...any) (Booking, error) {
	var b Booking
	err := run(ctx, func(q Querier) (err error) {
		b, err = t.step(ctx, s, q, id, args)
		return err
	})
	return b, wrap(ctx, t.op, err)
}

func (t transition) step(ctx context.Context, s *Store, q Querier, id string, args []any) (Booking, error) {
	if !isID(id) {
		return Booking{}, ErrNotFound
	}
	// The status may change between the UPDATE and the SELECT, so retry a few times.
	for range 3 {
		done, changed, err := selectOne[changedRow](ctx, q, t.sql, append([]any{strings.ToLower(id)}, args...)...)
		if err != nil {
			return Booking{}, err
		}
		if changed {
			actor, reason := "", ""
			if done.Was != "" {
				actor, reason = args[0].(string), args[1].(string)
			}
			return done.tell(ctx, s, q, t.undo, actor, reason)
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
	return Booking{}, fmt.Errorf("the booking keeps changing: %w", errRetry)
}

var confirm = transition{
	op: "confirm", from: []Status{StatusPending}, settled: StatusConfirmed, hold: true, clock: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET `+confirmedSQL+`
    WHERE b.id = $1::uuid AND b.status = 'pending' AND `+inTimeSQL, `'pending'`),
}

// Confirm confirms a hold. A confirmed booking is returned unchanged. The errors are
// [ErrHoldExpired] if the hold has expired or its slot has begun, by the database's
// clock; [ErrNotFound]; and a [*StatusError]. Safe on several replicas. One round trip
// when it confirms; it changes no index.
func (s *Store) Confirm(ctx context.Context, id string) (Booking, error) {
	return confirm.do(ctx, s, s.change, id, Actor(ctx), "")
}

var confirmLate = transition{
	op: "confirm", from: []Status{StatusPending}, settled: StatusConfirmed, hold: true,
	sql: recorded(`
    UPDATE booking_platform.bookings b SET `+confirmedSQL+`
    WHERE b.id = $1::uuid AND b.status = 'pending' AND lower(b.during) > statement_timestamp()`, `'pending'`),
	refused: func(row bookingRow) error {
		if row.Begun {
			return ErrSlotGone
		}
		return nil
	},
}

// ConfirmLate is [Store.Confirm] for a payment that has already arrived: it also confirms
// an expired hold that was not released yet, if its slot has not begun. After the release
// the error is [ErrHoldExpired]; once the slot has begun it is [ErrSlotGone], and the
// payment has to be refunded.
func (s *Store) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, s, s.change, id, Actor(ctx), "")
}

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

// extendedSQL is the end of a hold b of a resource r extended to $2.
const extendedSQL = `LEAST(lower(b.during), GREATEST(b.hold_expires_at,
        LEAST($2::timestamptz, b.created_at + make_interval(secs => r.hold_cap_seconds))))`

// Extend moves the end of a hold to until, not beyond its resource's HoldCap or the start
// of its slot, and never back. The booking returned has the new end. It revives an
// expired hold that was not released yet, unless the cap has passed.
//
// The errors are [ErrHoldExpired], [ErrNotFound], a [*StatusError] for a booking that is
// not pending, and a [*ValidationError] for until. Safe on several replicas; one round
// trip when it extends.
func (s *Store) Extend(ctx context.Context, id string, until time.Time) (Booking, error) {
	return extendTo(ctx, s, s.run, id, until)
}

func extendTo(ctx context.Context, s *Store, run runner, id string, until time.Time) (Booking, error) {
	p := problems{}
	p.add("until", instantProblem(until))
	if err := p.err(); err != nil {
		return Booking{}, wrap(ctx, extend.op, err)
	}
	return extend.do(ctx, s, run, id, until.UTC())
}

// ConfirmSQL is [Store.Confirm] of several holds as parts of a larger statement, which
// commits them together with the caller's own changes in one round trip; package payments
// settles events with it. Lock and Confirm are common table expressions without WITH, to
// be used in this order, with the caller's between them:
//
//   - Lock reads wanted(booking_id uuid, actor text), at most one row for each booking, and
//     defines held(booking_id uuid): those of them that are holds in time, locked FOR NO
//     KEY UPDATE. It leaves out what another transaction has locked, so it never waits.
//   - Confirm reads granted(booking_id uuid, actor text), a part of held, and defines
//     confirmed(booking_id, resource_id uuid, reference, email, actor text, at
//     timestamptz), with an entry in the history of each. It also runs
//     Options.OnConfirmSQL.
//
// The statement must fail if granted has a booking that confirmed has not. It needs READ
// COMMITTED, or is refused with 40001 when a row has changed.
type ConfirmSQL struct {
	Lock, Confirm string
}

const (
	// inTimeSQL is true of a hold b that can be confirmed.
	inTimeSQL = `LEAST(b.hold_expires_at, lower(b.during)) > statement_timestamp()`
	// confirmedSQL sets a booking to confirmed.
	confirmedSQL = `status = 'confirmed', updated_at = statement_timestamp()`

	lockHoldsSQL = `
held AS MATERIALIZED (
    SELECT b.id AS booking_id FROM booking_platform.bookings b
    WHERE b.id IN (SELECT w.booking_id FROM wanted w) AND b.status = 'pending' AND ` + inTimeSQL + `
    FOR NO KEY UPDATE OF b SKIP LOCKED
)`
	confirmHeldSQL = `
confirmed AS (
    UPDATE booking_platform.bookings b SET ` + confirmedSQL + `
    FROM granted g WHERE b.id = g.booking_id AND b.status = 'pending' AND ` + inTimeSQL + `
    RETURNING b.id AS booking_id, b.resource_id, b.reference, b.email, g.actor, b.updated_at AS at
), confirmed_history AS (` + recordSQL + `
    SELECT c.booking_id, 'pending', 'confirmed', NULL, NULL, c.actor, '' FROM confirmed c
)`
)

// ConfirmSQL returns the parts of a statement that confirms several holds. It returns
// false if Options.OnChange has to be told about each, and there is no OnConfirmSQL.
func (s *Store) ConfirmSQL() (ConfirmSQL, bool) {
	parts := ConfirmSQL{Lock: lockHoldsSQL, Confirm: confirmHeldSQL}
	if s.onConfirmSQL != "" {
		parts.Confirm += `, confirmed_told AS (` + s.onConfirmSQL + `
)`
	}
	return parts, s.onChange == nil || s.onConfirmSQL != ""
}

var release = transition{
	op: "release", from: []Status{StatusPending},
	sql: recorded(`
    UPDATE booking_platform.bookings b
    SET status = 'cancelled', idempotency_key = NULL, updated_at = statement_timestamp()
    WHERE b.id = $1::uuid AND b.status = 'pending'`, `'pending'`),
}

// Release ends a hold early and frees its units and its idempotency key, so that the
// request can be made again. The errors are a [*StatusError] for a booking that is not
// pending, and [ErrNotFound]. Safe on several replicas; one round trip when it releases.
func (s *Store) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, s, s.change, id, Actor(ctx), "")
}

// Complete records that a confirmed booking took place, or corrects a no-show. It must
// have begun, by the database's clock. Its units are free when the buffer after the slot
// is over, without a buffer at once. A completed booking is returned unchanged.
//
// The errors are [ErrNotBegun], a [*StatusError], also for a block, and [ErrNotFound].
// Safe on several replicas; one round trip when it completes.
func (s *Store) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, s, s.change, id, Actor(ctx), "")
}

// Complete is [Store.Complete] in the caller's transaction.
func (t *Tx) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, t.store, t.run, id, Actor(ctx), "")
}

// NoShow records that the customer of a confirmed booking did not come. It is
// [Store.Complete] with another status, and refunds nothing; to refund a part, cancel the
// booking instead.
func (s *Store) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, s, s.change, id, Actor(ctx), "")
}

// NoShow is [Store.NoShow] in the caller's transaction.
func (t *Tx) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, t.store, t.run, id, Actor(ctx), "")
}

var (
	complete = transition{
		op: "complete", from: []Status{StatusConfirmed, StatusNoShow}, settled: StatusCompleted,
		refused: hasNotBegun("complete"),
		sql: recorded(`
    UPDATE booking_platform.bookings b SET status = 'completed', updated_at = statement_timestamp()
    FROM (
        SELECT o.id, o.status FROM booking_platform.bookings o
        WHERE o.id = $1::uuid AND o.status IN ('confirmed', 'no_show') AND o.kind = 'booking'
            AND lower(o.during) <= statement_timestamp()
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
        WHERE o.id = $1::uuid AND o.status IN ('confirmed', 'completed') AND o.kind = 'booking'
            AND lower(o.during) <= statement_timestamp()
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

// Expire ends a hold that can no longer be paid, for example because its Checkout Session
// has expired. Unlike [Tx.Release] it leaves the status expired and the idempotency key
// in use. An expired booking is returned unchanged. The errors are [ErrNotFound] and a
// [*StatusError]. One round trip when it expires.
func (t *Tx) Expire(ctx context.Context, id string) (Booking, error) {
	return expire.do(ctx, t.store, t.run, id, Actor(ctx), "")
}
