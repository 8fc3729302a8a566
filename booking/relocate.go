package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking/internal/seating"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// A relocation gives bookings other units or another time: Reschedule, Retake, Block, a
// hold that needs its neighbours' units, and a lower capacity. Plain UPDATEs under an
// exclusion constraint can deadlock, and a violation (23P01) would end the caller's
// transaction. So a relocation
//
//  1. locks the resource, which serializes relocations and does not block holds;
//  2. reads the bookings near the target and computes the new units in memory;
//  3. in one statement moves the bookings to units above every capacity and inserts
//     placeholders at their new places, with ON CONFLICT DO NOTHING, which waits for
//     concurrent holds and neither deadlocks nor fails;
//  4. in one statement deletes the placeholders and moves the bookings there. Until the
//     transaction ends, others wait for the old and the new places.
//
// If a place was lost in step 3, the bookings are restored and step 2 is repeated.

type relocator struct {
	store *Store
	// caller is the caller's transaction; nil for the store's own.
	caller Querier
}

// If step returns errLapsed, before any change, do releases the expired holds at the
// target in another transaction and repeats it.
func (m relocator) do(ctx context.Context, step func(Querier) (lockedResource, target, error)) error {
	for range maxAttempts {
		var in lockedResource
		var t target
		attempt := func(q Querier) (err error) {
			in, t, err = step(q)
			return err
		}
		var err error
		if m.caller == nil {
			err = m.store.retryTx(ctx, attempt)
		} else {
			err = attempt(m.caller)
		}
		if !errors.Is(err, errLapsed) {
			return err
		}
		h := holder{store: m.store, caller: m.caller}
		if err := h.releaseExpiredIn(ctx, in.id, t.from, t.to); err != nil {
			return err
		}
	}
	return errContention
}

// retryTx repeats step, in a transaction of the store's own, while the error is
// retryable.
func (s *Store) retryTx(ctx context.Context, step func(Querier) error) error {
	if p, ok := s.single.(*preparing); ok {
		if err := p.prepare(ctx, lockBookingSQL, seatsSQL, reserveSQL, moveSQL); err != nil {
			return err
		}
	}
	for range maxAttempts {
		err := s.transact(ctx, step)
		if !IsRetryable(err) {
			return err
		}
		s.log.DebugContext(ctx, "booking: retry", "sqlstate", pg.SQLState(err))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return errContention
}

// The first lock of every relocation. It does not conflict with the FOR KEY SHARE of
// holds.
const (
	lockResourceByIDSQL = `
SELECT r.id::text AS id, r.capacity, r.currency
FROM booking_platform.resources r WHERE r.id = $1::uuid FOR NO KEY UPDATE`
	lockResourceBySlugSQL = `
SELECT r.id::text AS id, r.capacity, r.currency
FROM booking_platform.resources r WHERE r.slug = $1::text FOR NO KEY UPDATE`
)

// lockBookingSQL locks a booking's resource and then, joined to it, the booking.
const lockBookingSQL = `
WITH locked AS MATERIALIZED (
    SELECT r.id, r.capacity, r.version, r.active
    FROM booking_platform.resources r
    WHERE r.id = (SELECT b.resource_id FROM booking_platform.bookings b WHERE b.id = $1::uuid)
    FOR NO KEY UPDATE
)
SELECT r.capacity, r.version::text AS version, r.active, statement_timestamp() AS clock, b.units::text AS units,
       lower(b.blocked) AS blocked_from, upper(b.blocked) AS blocked_to,` + bookingColumns + `
FROM locked r JOIN booking_platform.bookings b ON b.resource_id = r.id
WHERE b.id = $1::uuid
FOR NO KEY UPDATE OF b`

type lockedRow struct {
	Capacity    int       `db:"capacity"`
	Version     string    `db:"version"`
	Active      bool      `db:"active"`
	Clock       time.Time `db:"clock"`
	Units       string    `db:"units"`
	BlockedFrom time.Time `db:"blocked_from"`
	BlockedTo   time.Time `db:"blocked_to"`
	bookingRow
}

// lockedResource is locked by the transaction of q.
type lockedResource struct {
	q        Querier
	id       string
	capacity int
	currency string
}

func lockResource(ctx context.Context, q Querier, idOrSlug string) (lockedResource, error) {
	query, key := lockResourceBySlugSQL, idOrSlug
	switch {
	case isID(idOrSlug):
		query, key = lockResourceByIDSQL, strings.ToLower(idOrSlug)
	case !isSlug(idOrSlug):
		return lockedResource{}, ErrNotFound
	}
	type resource struct {
		ID       string `db:"id"`
		Capacity int    `db:"capacity"`
		Currency string `db:"currency"`
	}
	row, found, err := selectOne[resource](ctx, q, query, key)
	if err == nil && !found {
		err = ErrNotFound
	}
	return lockedResource{q, row.ID, row.Capacity, row.Currency}, err
}

func lockBooking(ctx context.Context, q Querier, id string) (lockedResource, lockedRow, error) {
	if !isID(id) {
		return lockedResource{}, lockedRow{}, ErrNotFound
	}
	row, found, err := selectOne[lockedRow](ctx, q, lockBookingSQL, strings.ToLower(id))
	if err == nil && !found {
		err = ErrNotFound
	}
	return lockedResource{q, row.ResourceID, row.Capacity, ""}, row, err
}

// parkedOffset is added to units during a relocation. No capacity is larger.
const parkedOffset = 10000

// reservation is a booking's new place.
type reservation struct {
	// Placeholder is the row that keeps it until settle. Parked are the units of the
	// booking ID meanwhile.
	ID          string `json:"id"`
	Placeholder string `json:"placeholder"`
	Parked      string `json:"parked"`
	// Units are its new ones, Party of them. From and To include the buffers.
	Units string    `json:"units"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Party int       `json:"party"`
	// was are the units it has had.
	was []int
}

func newReservation(id string, was, units []int, from, to time.Time) (reservation, error) {
	placeholder, err := uuid.NewV7()
	if err != nil {
		return reservation{}, err
	}
	parked := slices.Clone(was)
	for i := range parked {
		parked[i] += parkedOffset
	}
	return reservation{id, placeholder.String(), unitsText(parked), unitsText(units), from.UTC(), to.UTC(), len(units),
		was}, nil
}

// acquire reserves a place for the target, which becomes the booking id, and gives its
// neighbours new units. The caller moves the booking there in a statement that first
// deletes the placeholder. On an error of plan nothing has changed.
func (m lockedResource) acquire(ctx context.Context, t target, id string, was []int) (reservation, error) {
	for range maxAttempts {
		p, err := m.plan(ctx, t)
		if err != nil {
			return reservation{}, err
		}
		own, err := newReservation(id, was, p.units, t.from, t.to)
		if err != nil {
			return reservation{}, err
		}
		if t.self == "" {
			// A new booking is its own placeholder.
			own.Placeholder = id
		}
		all := append(p.neighbours, own)
		reserved, err := m.reserve(ctx, all)
		if err != nil {
			return reservation{}, err
		}
		if reserved {
			return own, m.settle(ctx, p.neighbours)
		}
		// A concurrent hold got one of the places since they were read.
		if err := m.restore(ctx, all); err != nil {
			return reservation{}, err
		}
	}
	return reservation{}, errContention
}

// The subquery makes the INSERT wait until the bookings have left their places.
const reserveSQL = `
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.placeholder, w.parked, w.units, tstzrange(w."from", w."to", '[)') AS during, w.party
    FROM jsonb_to_recordset($2::jsonb) AS w(
        id uuid, placeholder uuid, parked int4multirange, units int4multirange, "from" timestamptz, "to" timestamptz,
        party integer
    )
), parked AS (
    UPDATE booking_platform.bookings b SET units = w.parked FROM wanted w WHERE b.id = w.id AND b.active RETURNING b.id
), reserved AS (
    INSERT INTO booking_platform.bookings AS b (
        id, kind, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency
    )
    SELECT w.placeholder, 'block', $1::uuid, w.units, w.party, w.during, w.during, 'confirmed', statement_timestamp(),
        0, 'xxx'
    FROM wanted w WHERE (SELECT count(*) FROM parked) >= 0
    ON CONFLICT DO NOTHING
    RETURNING b.id
)
SELECT count(*)::integer AS reserved FROM reserved`

// reserve parks the bookings and reserves their places; false if one is taken.
func (m lockedResource) reserve(ctx context.Context, all []reservation) (bool, error) {
	type answer struct {
		Reserved int `db:"reserved"`
	}
	row, _, err := selectOne[answer](ctx, m.q, reserveSQL, m.id, reservationsJSON(all))
	return err == nil && row.Reserved == len(all), err
}

// The subquery makes the UPDATE wait until the placeholders are deleted. A new booking,
// which is its own placeholder, has no units to be restored.
const settleSQL = `
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.placeholder, w.units
    FROM jsonb_to_recordset($1::jsonb) AS w(id uuid, placeholder uuid, units int4multirange)
), gone AS (
    DELETE FROM booking_platform.bookings b USING wanted w WHERE b.id = w.placeholder RETURNING b.id
)
UPDATE booking_platform.bookings b SET units = w.units
FROM wanted w WHERE b.id = w.id AND b.active AND NOT isempty(w.units) AND (SELECT count(*) FROM gone) >= 0`

// settle replaces placeholders by their bookings. No history or updated_at shows a change
// of units.
func (m lockedResource) settle(ctx context.Context, all []reservation) error {
	if len(all) == 0 {
		return nil
	}
	_, err := m.q.ExecContext(ctx, settleSQL, reservationsJSON(all))
	return err
}

func (m lockedResource) restore(ctx context.Context, all []reservation) error {
	back := slices.Clone(all)
	for i := range back {
		back[i].Units = unitsText(back[i].was)
	}
	return m.settle(ctx, back)
}

func reservationsJSON(all []reservation) string {
	text, _ := json.Marshal(all) // Strings, numbers and valid times cannot fail.
	return string(text)
}

// reassign frees units for a party in [from, to), buffers included, by giving neighbours
// other units, in a transaction of the store's own. nil means that they are free now, or
// that the remaining capacity does not suffice: the caller tries again. ErrSlotTaken
// means that SQL lowered the capacity below what is sold nearby.
func (s *Store) reassign(ctx context.Context, r *rules, from, to time.Time, party int) error {
	return s.retryTx(ctx, func(q Querier) error {
		m, err := lockResource(ctx, q, r.ID)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		t := target{from: from, to: to, party: party}
		_, seats, err := m.readSeats(ctx, from, to, "")
		if err != nil {
			return err
		}
		// A hold that fails because of expired ones releases them.
		at := t.seat()
		if len(seating.Free(m.capacity, seats, at.From, at.To)) >= party ||
			m.capacity-seating.MaxUnits(seats, at.From, at.To) < party {
			return nil
		}
		p, err := m.planNeighbours(ctx, t)
		if errors.Is(err, errLapsed) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(p.neighbours) == 0 {
			if seating.AnyAbove(m.capacity, seats) {
				return ErrSlotTaken
			}
			return nil
		}
		return m.relocate(ctx, p.neighbours)
	})
}

// relocate returns errRetry if a place was lost.
func (m lockedResource) relocate(ctx context.Context, all []reservation) error {
	reserved, err := m.reserve(ctx, all)
	if err != nil {
		return err
	}
	if !reserved {
		return errRetry
	}
	return m.settle(ctx, all)
}

// unitsText is an int4multirange; units ascend.
func unitsText(units []int) string {
	var text strings.Builder
	for i := 0; i < len(units); {
		end := i + 1
		for end < len(units) && units[end] == units[end-1]+1 {
			end++
		}
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString("[" + strconv.Itoa(units[i]) + "," + strconv.Itoa(units[end-1]+1) + ")")
		i = end
	}
	return "{" + text.String() + "}"
}

func readUnits(text string) ([]int, error) {
	var units []int
	for span := range strings.SplitSeq(strings.Trim(text, "{}"), "),") {
		from, to, _ := strings.Cut(strings.Trim(span, "[)"), ",")
		first, err := strconv.Atoi(from)
		end, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("unexpected units %q", text)
		}
		for unit := first; unit < end; unit++ {
			units = append(units, unit)
		}
	}
	return units, nil
}

// Random picks of concurrent holds seldom collide.
func pick(free []int, n int) []int {
	rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	units := slices.Clone(free[:n])
	slices.Sort(units)
	return units
}
