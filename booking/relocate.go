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
)

// mover makes moves: the store's, or those in a caller's transaction.
type mover struct {
	store *Store
	// caller is the connection of the caller's transaction; nil for the store's own.
	caller Querier
}

// do makes a step as one transaction of the store's own, or in the caller's. Where the
// step finds expired holds in the way of its wish, and so has changed nothing yet, they
// are released beside it, and it is made anew.
func (m mover) do(ctx context.Context, step func(Querier) (moves, wish, error)) error {
	for range maxAttempts {
		var in moves
		var w wish
		attempt := func(q Querier) (err error) {
			in, w, err = step(q)
			return err
		}
		var err error
		if m.caller == nil {
			err = m.store.again(ctx, attempt)
		} else {
			err = attempt(m.caller)
		}
		if !errors.Is(err, errLapsed) {
			return err
		}
		if err := m.makeRoom(ctx, in.resourceID, w.from, w.to); err != nil {
			return err
		}
	}
	return fmt.Errorf("the contention does not end: %w", errRunAgain)
}

// makeRoom releases the expired holds in a range, as a hold does.
func (m mover) makeRoom(ctx context.Context, resourceID string, from, to time.Time) error {
	h := holder{store: m.store, caller: m.caller}
	return h.beside(ctx, "release expired holds", func(ctx context.Context) error {
		return m.store.makeRoom(ctx, resourceID, from, to)
	})
}

// take reserves what a wish asks for, for the booking with that id, and puts the
// neighbours who make room for it on their new units. What is left to the caller is to
// put the booking where its placeholder is, in a statement that deletes that first. The
// errors are those of plan; nothing has changed then.
func (m moves) take(ctx context.Context, w wish, id string, was []int) (place, error) {
	for range maxAttempts {
		p, err := m.plan(ctx, w)
		if err != nil {
			return place{}, err
		}
		own, err := newPlace(id, was, p.units, w.from, w.to)
		if err != nil {
			return place{}, err
		}
		if w.self == "" {
			// A new booking is its own placeholder.
			own.Placeholder = id
		}
		places := append(p.neighbours, own)
		reserved, err := m.reserve(ctx, places)
		if err != nil {
			return place{}, err
		}
		if reserved {
			return own, m.settle(ctx, p.neighbours)
		}
		// Somebody else got one of the places since they were looked for.
		if err := m.putBack(ctx, places); err != nil {
			return place{}, err
		}
	}
	return place{}, fmt.Errorf("the contention does not end: %w", errRunAgain)
}

// A move gives bookings other units or another time: it reschedules, takes again,
// re-seats or blocks. Two bare UPDATEs under an exclusion constraint deadlock, each with
// its own row in the index and waiting for the other's; and where one fails with 23P01, a
// caller's transaction is lost. So a move
//
//  1. locks the resource, which lets one move at a time pass and does not block holds;
//  2. looks who is where, and decides in memory who goes where;
//  3. in one statement parks those who move on units that are nobody's, and reserves their new places with placeholder rows, by an
//     INSERT … ON CONFLICT DO NOTHING, which waits for holds under way, and neither deadlocks with them nor fails;
//  4. in one statement takes the placeholders away and puts the bookings there. Nobody can come between: until the transaction ends,
//     others wait for the placeholders and for the places that were left.
//
// Where a place was lost in step 3, everybody is put back, and it begins anew with step
// 2.

// The resource is the first lock of every move. NO KEY: holds share the key, and go on.
const (
	lockForMovesSQL = `
SELECT r.id::text AS id, r.capacity, r.currency
FROM booking_platform.resources r WHERE r.id = $1::uuid FOR NO KEY UPDATE`
	lockSlugForMovesSQL = `
SELECT r.id::text AS id, r.capacity, r.currency
FROM booking_platform.resources r WHERE r.slug = $1::text FOR NO KEY UPDATE`
)

// lockForMoveSQL locks the resource of a booking, and then the booking: it is joined to
// what the lock has returned.
const lockForMoveSQL = `
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

// moves are those of a transaction that has the resource locked.
type moves struct {
	q          Querier
	resourceID string
	capacity   int
	currency   string
}

// lockResource locks a resource, by its id or its slug.
func lockResource(ctx context.Context, q Querier, idOrSlug string) (moves, error) {
	query, key := lockSlugForMovesSQL, idOrSlug
	switch {
	case isID(idOrSlug):
		query, key = lockForMovesSQL, strings.ToLower(idOrSlug)
	case !isSlug(idOrSlug):
		return moves{}, ErrNotFound
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
	return moves{q, row.ID, row.Capacity, row.Currency}, err
}

// lockBooking locks a booking's resource, and the booking.
func lockBooking(ctx context.Context, q Querier, id string) (moves, lockedRow, error) {
	if !isID(id) {
		return moves{}, lockedRow{}, ErrNotFound
	}
	row, found, err := selectOne[lockedRow](ctx, q, lockForMoveSQL, strings.ToLower(id))
	if err == nil && !found {
		err = ErrNotFound
	}
	return moves{q, row.ResourceID, row.Capacity, ""}, row, err
}

// parked is how far above its own units those of a booking are that is about to move.
const parked = 10000

// place is where a booking goes.
type place struct {
	// ID is the booking; Placeholder keeps the place for it, and Parked are the units
	// where it waits.
	ID          string `json:"id"`
	Placeholder string `json:"placeholder"`
	Parked      string `json:"parked"`
	// Units are to be its own from From to To, buffers included. Party is how many they
	// are.
	Units string    `json:"units"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Party int       `json:"party"`
	// was are the units it has.
	was []int
}

func newPlace(id string, was, units []int, from, to time.Time) (place, error) {
	placeholder, err := uuid.NewV7()
	if err != nil {
		return place{}, err
	}
	waiting := slices.Clone(was)
	for i := range waiting {
		waiting[i] += parked
	}
	return place{id, placeholder.String(), unitsText(waiting), unitsText(units), from.UTC(), to.UTC(), len(units), was},
		nil
}

// The rows that are parked are no longer in their places before the first placeholder is
// inserted: it waits for the count.
const reserveSQL = `
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.placeholder, w.parked, w.units, tstzrange(w."from", w."to", '[)') AS during, w.party
    FROM jsonb_to_recordset($2::jsonb) AS w(
        id uuid, placeholder uuid, parked int4multirange, units int4multirange, "from" timestamptz, "to" timestamptz, party integer
    )
), parked AS (
    UPDATE booking_platform.bookings b SET units = w.parked FROM wanted w WHERE b.id = w.id AND b.active RETURNING b.id
), reserved AS (
    INSERT INTO booking_platform.bookings AS b (
        id, kind, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency
    )
    SELECT w.placeholder, 'block', $1::uuid, w.units, w.party, w.during, w.during, 'confirmed', statement_timestamp(), 0, 'xxx'
    FROM wanted w WHERE (SELECT count(*) FROM parked) >= 0
    ON CONFLICT DO NOTHING
    RETURNING b.id
)
SELECT count(*)::integer AS reserved FROM reserved`

// reserve parks those who move, and reserves their places; false when one of them was
// lost to somebody else.
func (m moves) reserve(ctx context.Context, places []place) (bool, error) {
	type answer struct {
		Reserved int `db:"reserved"`
	}
	row, _, err := selectOne[answer](ctx, m.q, reserveSQL, m.resourceID, placesJSON(places))
	return err == nil && row.Reserved == len(places), err
}

// Whoever is put somewhere finds the placeholders gone: it waits for the count. A new
// booking is its own placeholder, and had no units to be put back on; the check of its
// row would come before it is seen that the row is gone.
const settleSQL = `
WITH wanted AS MATERIALIZED (
    SELECT w.id, w.placeholder, w.units
    FROM jsonb_to_recordset($1::jsonb) AS w(id uuid, placeholder uuid, units int4multirange)
), gone AS (
    DELETE FROM booking_platform.bookings b USING wanted w WHERE b.id = w.placeholder RETURNING b.id
)
UPDATE booking_platform.bookings b SET units = w.units
FROM wanted w WHERE b.id = w.id AND b.active AND NOT isempty(w.units) AND (SELECT count(*) FROM gone) >= 0`

// settle puts bookings on their units, in place of the placeholders. It changes nothing
// else of them: units are nobody's business but the constraint's.
func (m moves) settle(ctx context.Context, places []place) error {
	if len(places) == 0 {
		return nil
	}
	_, err := m.q.ExecContext(ctx, settleSQL, placesJSON(places))
	return err
}

// putBack undoes reserve.
func (m moves) putBack(ctx context.Context, places []place) error {
	back := slices.Clone(places)
	for i := range back {
		back[i].Units = unitsText(back[i].was)
	}
	return m.settle(ctx, back)
}

func placesJSON(places []place) string {
	// Texts, numbers and instants that were checked can always be written.
	text, _ := json.Marshal(places)
	return string(text)
}

// unitsText writes units, which are in ascending order, as Postgres writes a multirange.
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

var errUnits = errors.New("units are not as expected")

func readUnits(text string) ([]int, error) {
	var units []int
	for span := range strings.SplitSeq(strings.Trim(text, "{}"), "),") {
		from, to, _ := strings.Cut(strings.Trim(span, "[)"), ",")
		first, err := strconv.Atoi(from)
		end, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil {
			return nil, errUnits
		}
		for unit := first; unit < end; unit++ {
			units = append(units, unit)
		}
	}
	return units, nil
}

// pick takes some of the free units at random, so that holds that come at the same time
// seldom want the same.
func pick(free []int, n int) []int {
	rand.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	units := slices.Clone(free[:n])
	slices.Sort(units)
	return units
}

// reseat makes units free for a party in a range of time, buffers included, by giving
// neighbours other units: where heads are free and no free set of units is. It is a
// transaction of the store's own, and what it changes is invisible: neither history nor
// updated_at tell of it. nil says that the room was there when it looked, or is now, or
// that the heads turned out not to suffice: the caller tries again and decides.
// ErrSlotTaken is for a capacity that was lowered, in the database, below what is sold
// nearby.
func (s *Store) reseat(ctx context.Context, r *rules, from, to time.Time, party int) error {
	return s.again(ctx, func(q Querier) error {
		m, err := lockResource(ctx, q, r.ID)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		w := wish{from: from, to: to, party: party}
		_, seats, err := m.seats(ctx, w, from, to)
		if err != nil {
			return err
		}
		// Expired holds move like the others; who is refused because of them releases
		// them.
		at := w.seat()
		if len(seating.Free(m.capacity, seats, at.From, at.To)) >= party ||
			m.capacity-seating.MaxUnits(seats, at.From, at.To) < party {
			return nil
		}
		p, err := m.reseated(ctx, w)
		if err != nil {
			return err
		}
		if len(p.neighbours) == 0 {
			if seating.AnyAbove(m.capacity, seats) {
				return ErrSlotTaken
			}
			return nil
		}
		ok, err := m.reserve(ctx, p.neighbours)
		if err == nil && !ok {
			err = errRunAgain
		}
		if err != nil {
			return err
		}
		return m.settle(ctx, p.neighbours)
	})
}

// again does a step as one transaction, and again in a new one as long as its error says
// so: somebody else got a place that was reserved, or Postgres ended it in favour of
// another transaction.
func (s *Store) again(ctx context.Context, step func(Querier) error) error {
	if p, ok := s.single.(*preparing); ok {
		if err := p.prepareMoves(ctx); err != nil {
			return err
		}
	}
	for range maxAttempts {
		err := s.transact(ctx, step)
		if !IsRetryable(err) {
			return err
		}
		s.log.DebugContext(ctx, "booking: run again", "sqlstate", sqlState(err))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return fmt.Errorf("the contention does not end: %w", errRunAgain)
}
