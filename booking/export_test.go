package booking

import (
	"context"
	"encoding/binary"
	"iter"
	"time"
)

// What the tests look at from outside.
const (
	HoldSQL          = holdSQL
	SweepSQL         = sweepSQL
	CompletePastSQL  = completePastSQL
	OccupancySQL     = occupancySQL
	OccupancyOneSQL  = occupancyOneSQL
	ReleaseLapsedSQL = releaseLapsedSQL
	BookingByKeySQL  = bookingByKeySQL
	FeedBookingsSQL  = feedBookingsSQL
	FeedResourceSQL  = feedResourceSQL
	BacklogSQL       = backlogSQL
	SweepBatch       = sweepBatch
	MaxCached        = maxCached
)

// ZoneNames are the names of the zones that LoadZone accepts, one a line.
var ZoneNames = zoneNames

// Examined is how many rows a page looks at.
const Examined = examined

// ListQuery is the statement of a page.
func ListQuery(opts ListOptions) (string, []any) {
	opts = opts.normal()
	after, _ := opts.position()
	return opts.query(after)
}

// CountQuery is the statement of a count that looks at so many rows at most.
func CountQuery(opts ListOptions, most int) (string, []any) { return opts.normal().countQuery(most) }

// Counted is how many rows a count looks at.
const Counted = counted

// Cursor is where a page ends that ends with a booking.
func Cursor(opts ListOptions, b Booking) string {
	return opts.normal().cursor(position{start: b.Start, id: b.ID})
}

// RulesOf are the rules of a resource, without a database.
func RulesOf(r Resource) (*rules, error) { return newRules(r.withDefaults(), "", time.Time{}) }

// Starts are the starts of slots in [from, to).
func (r *rules) Starts(from, to time.Time) iter.Seq[time.Time] { return r.starts(from, to) }

// IsStart tells whether a hold at t would be taken for a slot.
func (r *rules) IsStart(t time.Time) bool { return r.isStart(t) }

// Changes are what the database answers when so many heads come or go at some instants,
// by time.
func Changes(at []time.Time, heads []int) (taken []byte) {
	for n, t := range at {
		taken = binary.BigEndian.AppendUint64(taken, uint64(t.UnixMicro()-epoch2000))
		taken = binary.BigEndian.AppendUint64(taken, uint64(int64(heads[n])))
	}
	return taken
}

// Free are the slots that are left by what is taken, without a database.
func (r *rules) Free(from, to, clock time.Time, party int, taken []byte) []Slot {
	o := offering{rules: r, from: from, to: to, taken: occupancyRow{Clock: clock, Changes: taken}}
	return o.freeSlots(party)
}

// WithSideTxTimeout lets a hold in a caller's transaction wait longer than [maxSideTx],
// which a busy machine may need.
func (s *Store) WithSideTxTimeout() *Store {
	s.sideTxTimeout = time.Minute
	return s
}

// Cached counts the resources in memory.
func (s *Store) Cached() int {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	return max(len(s.cache.byID), len(s.cache.ids))
}

// HoursProblem is what is wrong with opening hours.
func HoursProblem(hours []Hours) string { return hoursProblem(hours) }

// Times is what a party pays.
func Times(price Money, heads int) (Money, bool) { return price.times(heads) }

// Hash is what tells a request from others under its idempotency key.
func (r HoldRequest) Hash(resourceID string) []byte { return r.hash(resourceID) }

// Reassign frees units for a party in the slot that begins at start.
func (s *Store) Reassign(ctx context.Context, idOrSlug string, start time.Time, party int) error {
	r, err := s.load(ctx, s.run, idOrSlug)
	if err != nil {
		return err
	}
	from, to := r.blocked(start)
	return s.reassign(ctx, r, from, to, party)
}

// ReassignRange frees units for a party in a range.
func (s *Store) ReassignRange(ctx context.Context, idOrSlug string, from, to time.Time, party int) error {
	r, err := s.load(ctx, s.run, idOrSlug)
	if err != nil {
		return err
	}
	return s.reassign(ctx, r, from, to, party)
}

// FeedOf is [Store.Feed] with another bound.
func (s *Store) FeedOf(ctx context.Context, token string, limit int) (Feed, error) {
	return s.feed(ctx, token, limit)
}

// Terms are those of a policy.
func (p Policy) Terms(start, at time.Time, amount Money) Terms { return p.terms(start, at, amount) }
