package booking

import (
	"context"
	"encoding/binary"
	"iter"
	"time"
)

const (
	HoldSQL           = holdSQL
	ReleaseExpiredSQL = releaseExpiredSQL
	CompletePastSQL   = completePastSQL
	OccupancySQL      = occupancySQL
	OccupancyOneSQL   = occupancyOneSQL
	ReleaseLapsedSQL  = releaseLapsedSQL
	BookingByKeySQL   = bookingByKeySQL
	FeedBookingsSQL   = feedBookingsSQL
	FeedResourceSQL   = feedResourceSQL
	BacklogSQL        = backlogSQL
	BatchSize         = batchSize
	MaxCached         = maxCached
)

var ZoneNames = zoneNames

const MaxRowsPerPage = maxRowsPerPage

func ListQuery(opts ListOptions) (string, []any) {
	opts = opts.normal()
	after, _ := opts.position()
	return opts.query(after)
}

func CountQuery(opts ListOptions, most int) (string, []any) { return opts.normal().countQuery(most) }

const MaxCountRows = maxCountRows

func Cursor(opts ListOptions, b Booking) string {
	return opts.normal().cursor(position{start: b.Start, id: b.ID})
}

func RulesOf(r Resource) (*rules, error) { return newRules(r.withDefaults(), "", time.Time{}) }

func (r *rules) Starts(from, to time.Time) iter.Seq[time.Time] { return r.starts(from, to) }

func (r *rules) IsStart(t time.Time) bool { return r.isStart(t) }

func Changes(at []time.Time, heads []int) (taken []byte) {
	for n, t := range at {
		taken = binary.BigEndian.AppendUint64(taken, uint64(t.UnixMicro()-epoch2000))
		taken = binary.BigEndian.AppendUint64(taken, uint64(int64(heads[n])))
	}
	return taken
}

func (r *rules) Free(from, to, clock time.Time, party int, taken []byte) []Slot {
	o := offering{rules: r, from: from, to: to, taken: occupancyRow{Clock: clock, Changes: taken}}
	return o.freeSlots(party)
}

// WithSideTxTimeout lets a hold in a caller's transaction wait longer, which a busy
// machine may need.
func (s *Store) WithSideTxTimeout() *Store {
	s.sideTxTimeout = time.Minute
	return s
}

func (s *Store) Cached() int {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	return max(len(s.cache.byID), len(s.cache.ids))
}

func HoursProblem(hours []Hours) string { return hoursProblem(hours) }

func Times(price Money, heads int) (Money, bool) { return price.times(heads) }

func (r HoldRequest) Hash(resourceID string) []byte { return r.hash(resourceID) }

func (s *Store) Reassign(ctx context.Context, idOrSlug string, start time.Time, party int) error {
	r, err := s.load(ctx, s.run, idOrSlug)
	if err != nil {
		return err
	}
	from, to := r.blocked(start)
	return s.reassign(ctx, r, from, to, party)
}

func (s *Store) ReassignRange(ctx context.Context, idOrSlug string, from, to time.Time, party int) error {
	r, err := s.load(ctx, s.run, idOrSlug)
	if err != nil {
		return err
	}
	return s.reassign(ctx, r, from, to, party)
}

func (s *Store) FeedOf(ctx context.Context, token string, limit int) (Feed, error) {
	return s.feed(ctx, token, limit)
}

func (p Policy) Terms(start, at time.Time, amount Money) Terms { return p.terms(start, at, amount) }
