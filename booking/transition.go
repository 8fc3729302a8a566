package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// transition is a change of one booking that is one UPDATE, and only when that found
// nothing to change a look at the reason.
type transition struct {
	// op names it in errors.
	op string
	// sql changes the booking $1 if its status, and for some the clock, allows it, and
	// returns bookingColumns. What recorded makes takes the actor as $2 and the reason as
	// $3.
	sql string
	// from are the statuses it starts from.
	from []Status
	// settled is the status in which there is nothing left to do, and the booking is
	// answered as it is; "" is none.
	settled Status
	// hold tells that it concerns a hold: one that has expired answers ErrHoldExpired.
	hold bool
	// clock tells that the hold's time must not have passed, nor its slot have begun.
	clock bool
	// refused tells why a booking that has one of the statuses was not changed all the
	// same; nil where nothing but them decides, and an error that is nil where it can be
	// changed by now.
	refused func(bookingRow) error
}

const bookingByIDSQL = `SELECT` + bookingColumns + `
FROM booking_platform.bookings b WHERE b.id = $1::uuid`

// storedColumns are those that bookingColumns reads, for the RETURNING of a change from
// which it reads on.
const storedColumns = `
        b.id, b.kind, b.resource_id, b.offer, b.during, b.party, b.status, b.hold_expires_at, b.first_name, b.last_name,
        b.email, b.amount_minor, b.currency, b.policy, b.refund_minor, b.late_refund_minor, b.sequence, b.owner_secret,
        b.owner_nonce, b.reference, b.idempotency_key, b.request_hash, b.metadata, b.created_at, b.updated_at`

// recorded makes a statement of an UPDATE of bookings b: it writes the change of status
// into the history as well, and returns bookingColumns. was is the status before the
// change. The UPDATE cannot tell it, so it is either the only one that the UPDATE allows,
// or comes from a row that the statement has locked.
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

// do makes the change and returns the booking after it.
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
	// Between the update and the look the booking may have become one that can be
	// changed; it does not go back and forth for long.
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
		case t.hold && (row.Status == StatusExpired || t.clock && row.Status == StatusPending && (row.Lapsed || row.Begun)):
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

// Confirm makes a hold stand. Confirming a confirmed booking answers it again, so it may
// be repeated. The errors are [ErrHoldExpired] when the hold's time has passed or its
// slot has begun, by the database's clock; [ErrNotFound]; and a [*StatusError] for a
// booking that was cancelled, completed or missed.
//
// It is one round trip when it confirms, and touches no index. On any number of replicas
// at once, against releases and the sweep too, a hold ends in one status.
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

// ConfirmLate is [Store.Confirm] for money that has already arrived: a hold whose time
// has passed is confirmed all the same, as long as it still keeps its units and its slot
// has not begun. Once it was released the error is [ErrHoldExpired]; once the slot has
// begun it is [ErrSlotGone], and the money is to be given back. One round trip when it
// confirms.
func (s *Store) ConfirmLate(ctx context.Context, id string) (Booking, error) {
	return confirmLate.do(ctx, s.run, id, Actor(ctx), "")
}

// A time that is earlier than the hold's end changes nothing, and one that has passed
// does not bring a hold back. No hold is extended beyond its start. The rules of the
// resource are read as they are, without waiting for a change of them.
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

// extendedSQL is the end of a hold b of a resource r that is asked to last until $2.
const extendedSQL = `LEAST(lower(b.during), GREATEST(b.hold_expires_at,
        LEAST($2::timestamptz, b.created_at + make_interval(secs => r.hold_cap_seconds))))`

// Extend moves the end of a hold to until, or to the HoldCap of its resource after it was
// made or the start of its slot where one of them is earlier; and never to before the end
// it has. So one call that asks for too much gets what there is, and the booking returned
// tells when it ends now. A hold whose time has passed but which still keeps its units is
// taken up again, because nobody else has got them, as long as the cap has not passed;
// money that comes later still is for [Store.ConfirmLate].
//
// The errors are [ErrHoldExpired] when the hold was released, its slot has begun, or its
// time and until or the cap have passed; [ErrNotFound]; a [*StatusError] for a booking
// that is no longer pending; and a [*ValidationError] for the field until where it is not
// between the years 1970 and 9998. Safe on several replicas at once; one round trip when
// it extends.
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

// Confirmation names a booking that is to be confirmed, and who does it; see [WithActor].
type Confirmation struct {
	ID    string `json:"id"`
	Actor string `json:"actor"`
}

// Locked first, and whoever has one locked is not waited for: so it takes no part in a
// deadlock.
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

// ConfirmSeveral confirms those of the bookings that are holds whose time has not passed,
// and returns their ids. The others are left as they are and say no reason: what is no
// longer pending, has lapsed, is not there, is named twice or is being changed by
// somebody else at this moment. So it waits for nobody. The ids of what it confirms are
// locked until the transaction ends. One round trip.
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
	// Ids and names can always be written.
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

// Release gives a pending hold back before its time: its units are free, and so is its
// idempotency key, so that the same request can be made anew. A booking that is no longer
// pending is left as it is, with a [*StatusError]; an unknown one is [ErrNotFound]. Safe
// on several replicas at once; one round trip when it releases.
func (s *Store) Release(ctx context.Context, id string) (Booking, error) {
	return release.do(ctx, s.run, id, Actor(ctx), "")
}

// Complete notes that a confirmed booking took place. It is only for one that has begun,
// by the database's clock; one that was noted as missed becomes completed, as a
// correction. Where a buffer follows its slot, its units stay taken until that is over.
// Without one, and before its end, they are free from now on, and can be sold again.
// Completing a completed booking answers it again, so it may be repeated. Amount and
// Refund stay.
//
// The errors are [ErrNotBegun]; [ErrNotFound]; and a [*StatusError] for a booking that is
// pending, has expired or was cancelled, and for a block. Safe on several replicas at
// once; one round trip when it completes.
func (s *Store) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, s.run, id, Actor(ctx), "")
}

// Complete is [Store.Complete] in the caller's transaction. One round trip when it
// completes.
func (t *Tx) Complete(ctx context.Context, id string) (Booking, error) {
	return complete.do(ctx, t.run, id, Actor(ctx), "")
}

// NoShow notes that the customer of a confirmed booking did not come. It is
// [Store.Complete] with the other outcome: only for one that has begun, its units stay
// taken until the buffer after it is over and are free at once where there is none, one
// that was noted as completed becomes missed, and a repeat is answered again. Nothing is
// given back: to refund some of it, cancel the booking instead. The errors are the same;
// one round trip when it is noted.
func (s *Store) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, s.run, id, Actor(ctx), "")
}

// NoShow is [Store.NoShow] in the caller's transaction. One round trip when it is noted.
func (t *Tx) NoShow(ctx context.Context, id string) (Booking, error) {
	return noShow.do(ctx, t.run, id, Actor(ctx), "")
}

var (
	complete = transition{
		op: "complete", from: []Status{StatusConfirmed, StatusNoShow}, settled: StatusCompleted, refused: hasNotBegun("complete"),
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
		op: "no-show", from: []Status{StatusConfirmed, StatusCompleted}, settled: StatusNoShow, refused: hasNotBegun("no-show"),
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
// status Expired and the idempotency key in use. An expired booking is returned unchanged.
// The errors are [ErrNotFound], and a [*StatusError] for a booking that is no longer
// pending. One round trip when it expires.
func (t *Tx) Expire(ctx context.Context, id string) (Booking, error) {
	return expire.do(ctx, t.run, id, Actor(ctx), "")
}
