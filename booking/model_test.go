package booking_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// model is what a resource and its bookings should be: kept in memory, and counted in
// heads, because which units a booking has is nobody's business.
type model struct {
	capacity int
	offers   map[string]sale
	bookings []sold
	// alone tells that nothing else happens at the same time.
	alone bool
	// wanted is where those who act at the same time want units.
	wanted []span
}

// sale is a length and a grid in which the resource is sold; "" is its own.
type sale struct {
	length, step, before, after time.Duration
	price                       int64
}

// sold is a booking as the model sees it.
type sold struct {
	id, offer string
	kind      booking.Kind
	// asked is the act that made it, and key the one that it still keeps.
	asked      act
	key        int
	start, end time.Time
	from, to   time.Time
	party      int
	amount     int64
	refund     *int64
	status     booking.Status
	// lapsed tells that its hold's time has passed, and begun how far back it went when
	// its own came.
	lapsed   bool
	begun    time.Duration
	sequence int
	history  []change
}

// change is a row of a booking's history. Whoever expires a hold because its units are
// needed is anybody.
type change struct {
	from, to           booking.Status
	fromStart, toStart time.Time
	actor, reason      string
}

const anybody = "*"

func (m model) clone() model {
	m.bookings = slices.Clone(m.bookings)
	for i, b := range m.bookings {
		m.bookings[i] = b.clone()
	}
	return m
}

func (b sold) clone() sold {
	b.history = slices.Clone(b.history)
	return b
}

// counts tells whether a booking keeps others out.
func (b sold) counts() bool {
	return b.status == booking.Confirmed || b.status == booking.Pending && !b.lapsed
}

func (b sold) overlaps(from, to time.Time) bool { return b.from.Before(to) && from.Before(b.to) }

// heads is the largest number at any instant of [from, to) of those who keep others out,
// without one booking.
func (m model) heads(from, to time.Time, without string) int {
	var in []sold
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

// mayHaveEnded tells whether a hold's time has passed and somebody wants its units: he
// may have ended it, at any time meanwhile, whatever he was answered himself and when.
func (m *model) mayHaveEnded(b *sold) bool {
	return b.status == booking.Pending && b.lapsed &&
		slices.ContainsFunc(m.wanted, func(s span) bool { return b.overlaps(s.from, s.to) })
}

func (s sale) blocked(start time.Time) (from, to time.Time) {
	return start.Add(-s.before), start.Add(s.length + s.after)
}

// isStart tells whether a slot begins then: the resource is open around the clock, in
// UTC.
func (s sale) isStart(at time.Time) bool {
	return at.Sub(at.Truncate(24*time.Hour))%s.step == 0
}

// slots are those that begin in [from, to) and have room for a party.
func (m model) slots(offer string, from, to time.Time, party int) []booking.Slot {
	out := []booking.Slot{}
	s := m.offers[offer]
	for at := from; at.Before(to); at = at.Add(15 * time.Minute) {
		if !s.isStart(at) {
			continue
		}
		begins, ends := s.blocked(at)
		if remaining := m.capacity - m.heads(begins, ends, ""); remaining >= party {
			out = append(out, booking.Slot{Start: at, End: at.Add(s.length), Remaining: remaining})
		}
	}
	return out
}

// become changes a booking's status and writes its row of history.
func (b *sold) become(status booking.Status, actor, reason string) {
	b.history = append(b.history, change{from: b.status, to: status, actor: actor, reason: reason})
	b.status, b.lapsed = status, false
}

// find returns a booking by its id; nil when there is none.
func (m *model) find(id string) *sold {
	return m.first(func(b sold) bool { return b.id == id })
}

// keyed returns the booking that has an idempotency key; nil when there is none.
func (m *model) keyed(key int) *sold {
	return m.first(func(b sold) bool { return key > 0 && b.key == key })
}

func (m *model) first(is func(sold) bool) *sold {
	n := slices.IndexFunc(m.bookings, is)
	if n < 0 {
		return nil
	}
	return &m.bookings[n]
}

// known counts the bookings with an id.
func (m *model) known(id string) (n int) {
	for _, b := range m.bookings {
		if b.id == id {
			n++
		}
	}
	return n
}

// String is for a person who reads why a test failed.
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
