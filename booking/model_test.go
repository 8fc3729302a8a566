package booking_test

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// model counts units and does not assign them.
type model struct {
	capacity int
	offers   map[string]modelOffer
	bookings []modelBooking
	// alone: nothing runs concurrently.
	alone bool
	// wanted are the ranges of concurrent operations.
	wanted []span
}

// modelOffer "" is the resource's own slot.
type modelOffer struct {
	length, step, before, after time.Duration
	price                       int64
}

type modelBooking struct {
	id, offer string
	kind      booking.Kind
	// asked made it; key is its idempotency key, or 0.
	asked      modelOp
	key        int
	start, end time.Time
	from, to   time.Time
	party      int
	amount     int64
	refund     *int64
	status     booking.Status
	// lapsed: the hold has expired. begun: how far "begin" moved the booking.
	lapsed   bool
	begun    time.Duration
	sequence int
	history  []change
}

// change is a row of the history, with anyActor where several could have expired the
// hold.
type change struct {
	from, to           booking.Status
	fromStart, toStart time.Time
	actor, reason      string
}

const anyActor = "*"

func (m model) clone() model {
	m.bookings = slices.Clone(m.bookings)
	for i, b := range m.bookings {
		m.bookings[i] = b.clone()
	}
	return m
}

func (b modelBooking) clone() modelBooking {
	b.history = slices.Clone(b.history)
	return b
}

// counts: it occupies units.
func (b modelBooking) counts() bool {
	return b.status == booking.StatusConfirmed || b.status == booking.StatusPending && !b.lapsed
}

func (b modelBooking) overlaps(from, to time.Time) bool {
	return b.from.Before(to) && from.Before(b.to)
}

// unitsInUse is the maximum in [from, to), without one booking.
func (m model) unitsInUse(from, to time.Time, without string) int {
	var in []modelBooking
	instants := []time.Time{from}
	for _, b := range m.bookings {
		if b.counts() && b.id != without && b.overlaps(from, to) {
			in = append(in, b)
			if b.from.After(from) {
				instants = append(instants, b.from)
			}
		}
	}
	most := 0
	for _, at := range instants {
		heads := 0
		for _, b := range in {
			if !b.from.After(at) && at.Before(b.to) {
				heads += b.party
			}
		}
		most = max(most, heads)
	}
	return most
}

// mayHaveEnded: a concurrent operation may have expired the hold, whatever its own
// result.
func (m *model) mayHaveEnded(b *modelBooking) bool {
	return b.status == booking.StatusPending && b.lapsed &&
		slices.ContainsFunc(m.wanted, func(s span) bool { return b.overlaps(s.from, s.to) })
}

func (s modelOffer) blocked(start time.Time) (from, to time.Time) {
	return start.Add(-s.before), start.Add(s.length + s.after)
}

// The resource is always open, in UTC.
func (s modelOffer) isStart(at time.Time) bool {
	return at.Sub(at.Truncate(24*time.Hour))%s.step == 0
}

// slots begin in [from, to) and have enough units.
func (m model) slots(offer string, from, to time.Time, party int) []booking.Slot {
	out := []booking.Slot{}
	s := m.offers[offer]
	for at := from; at.Before(to); at = at.Add(15 * time.Minute) {
		if !s.isStart(at) {
			continue
		}
		begins, ends := s.blocked(at)
		if remaining := m.capacity - m.unitsInUse(begins, ends, ""); remaining >= party {
			out = append(out, booking.Slot{Start: at, End: at.Add(s.length), Remaining: remaining})
		}
	}
	return out
}

// become adds a row of history.
func (b *modelBooking) become(status booking.Status, actor, reason string) {
	b.history = append(b.history, change{from: b.status, to: status, actor: actor, reason: reason})
	b.status, b.lapsed = status, false
}

func (m *model) find(id string) *modelBooking {
	return m.first(func(b modelBooking) bool { return b.id == id })
}

func (m *model) keyed(key int) *modelBooking {
	return m.first(func(b modelBooking) bool { return key > 0 && b.key == key })
}

func (m *model) first(is func(modelBooking) bool) *modelBooking {
	n := slices.IndexFunc(m.bookings, is)
	if n < 0 {
		return nil
	}
	return &m.bookings[n]
}

func (m *model) known(id string) (n int) {
	for _, b := range m.bookings {
		if b.id == id {
			n++
		}
	}
	return n
}

func (m model) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "capacity %d", m.capacity)
	for _, b := range m.bookings {
		fmt.Fprintf(&out, "\n  %s %s %q %s to %s party %d %s lapsed %t key %d", b.id, b.kind, b.offer,
			b.start.Format("02T15:04"),
			b.end.Format("15:04"), b.party, b.status, b.lapsed, b.key)
	}
	return out.String()
}

type dbState struct {
	capacity int
	bookings map[string]booking.Booking
	history  map[string][]change
}

// The invariants of main_test.go for one resource, and that the units in use fit at every
// instant. Only active and future bookings can be checked, as the capacity may have been
// lowered since.
const brokenInvariants = `
SELECT 'sold twice' AS wrong, n FROM (` + soldTwice + ` AND a.resource_id = $1::uuid) AS x(n) WHERE n > 0
UNION ALL
SELECT 'wrong units', count(*) FROM booking_platform.bookings b
    JOIN booking_platform.resources r ON r.id = b.resource_id
WHERE b.resource_id = $1::uuid AND (b.active AND upper(b.blocked) > now()
    AND NOT b.units <@ int4range(1, r.capacity + 1)
   OR b.party <> (SELECT sum(upper(u) - lower(u)) FROM unnest(b.units) AS u))
HAVING count(*) > 0
UNION ALL
SELECT 'too many heads', count(*) FROM booking_platform.bookings a
    JOIN booking_platform.resources r ON r.id = a.resource_id
WHERE a.active AND upper(a.blocked) > now() AND r.id = $1::uuid AND r.capacity < (
    SELECT sum(b.party) FROM booking_platform.bookings b
    WHERE b.active AND b.resource_id = r.id AND b.blocked @> lower(a.blocked)
)
HAVING count(*) > 0`

const historySQL = `
SELECT h.booking_id::text, h.from_status, h.to_status, h.from_start, h.to_start, h.actor, h.reason
FROM booking_platform.booking_history h JOIN booking_platform.bookings b ON b.id = h.booking_id
WHERE b.resource_id = $1::uuid ORDER BY h.id`

func (w *modelRun) readState() (dbState, error) {
	ctx := context.Background()
	var wrong string
	var n int
	switch err := w.db.QueryRowContext(ctx, brokenInvariants, w.id).Scan(&wrong, &n); err {
	case sql.ErrNoRows:
	case nil:
		return dbState{}, fmt.Errorf("%d bookings: %s; before: %s", n, wrong, w.model)
	default:
		return dbState{}, err
	}
	r, err := w.stores[0].Resource(ctx, w.id)
	if err != nil {
		return dbState{}, err
	}
	page, err := w.stores[0].List(ctx, booking.ListOptions{Resource: w.slug, Limit: 500})
	if err != nil {
		return dbState{}, err
	}
	out := dbState{capacity: r.Capacity, bookings: map[string]booking.Booking{}, history: map[string][]change{}}
	for _, b := range page.Bookings {
		out.bookings[b.ID] = b
	}
	rows, err := w.db.QueryContext(ctx, historySQL, w.id)
	if err != nil {
		return dbState{}, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var c change
		var from, to *time.Time
		if err := rows.Scan(&id, &c.from, &c.to, &from, &to, &c.actor, &c.reason); err != nil {
			return dbState{}, err
		}
		if from != nil && to != nil {
			c.fromStart, c.toStart = from.UTC(), to.UTC()
		}
		out.history[id] = append(out.history[id], c)
	}
	return out, rows.Err()
}

// compare takes the database's state where both states of a hold are possible.
func (f dbState) compare(m *model) error {
	if f.capacity != m.capacity {
		return fmt.Errorf("capacity %d, want %d", f.capacity, m.capacity)
	}
	if len(f.bookings) != len(m.bookings) {
		return fmt.Errorf("%d bookings, want %d", len(f.bookings), len(m.bookings))
	}
	for i := range m.bookings {
		b := &m.bookings[i]
		got, ok := f.bookings[b.id]
		if !ok {
			return fmt.Errorf("%s is missing", b.id)
		}
		if got.Status == booking.StatusExpired && m.mayHaveEnded(b) {
			b.become(booking.StatusExpired, anyActor, "")
		}
		// A hold that was extended and expired concurrently is in either state; only the
		// row tells which came last.
		lapsed := got.Status == booking.StatusPending && !got.HoldExpiresAt.After(time.Now())
		want := []any{b.kind, b.offer, b.start, b.end, b.party, b.amount, b.given(), b.status, b.lapsed, b.sequence,
			b.key > 0}
		has := []any{
			got.Kind, got.Offer, got.Start, got.End, got.Party, got.Amount.Minor, got.Refund, got.Status, lapsed,
			got.Sequence,
			got.IdempotencyKey != "",
		}
		if !reflect.DeepEqual(want, has) {
			return fmt.Errorf("%s is %v, want %v", b.id, has, want)
		}
		same := func(want, has change) bool {
			if want.actor == anyActor {
				want.actor = has.actor
			}
			return want == has
		}
		if !slices.EqualFunc(b.history, f.history[b.id], same) {
			return fmt.Errorf("history of %s: %v, want %v", b.id, f.history[b.id], b.history)
		}
	}
	return nil
}

func (b *modelBooking) given() *booking.Money {
	if b.refund == nil {
		return nil
	}
	return &booking.Money{Minor: *b.refund, Currency: "eur"}
}

// compareSlots is for every offer and parties of one and three.
func (w *modelRun) compareSlots() error {
	from, to := w.base, w.at(quarters)
	w.compared++
	for n, offer := range []string{"", "long"} {
		party := 1 + 2*((w.compared+n)%2)
		found, err := w.stores[1].Availability(context.Background(), booking.AvailabilityRequest{
			Resources: []string{w.slug}, Offer: offer, From: from, To: to, Party: party,
		})
		if err != nil {
			return err
		}
		if want, slots := w.model.slots(offer, from, to, party), found[0].Slots; !slices.Equal(want, slots) {
			return fmt.Errorf("slots of %q for %d:\n%v, want\n%v: %s", offer, party, short(slots), short(want),
				w.model)
		}
	}
	return nil
}

func short(slots []booking.Slot) (out []string) {
	for _, s := range slots {
		out = append(out, fmt.Sprintf("%s: %d", s.Start.Format(time.TimeOnly), s.Remaining))
	}
	return out
}
