package booking

import (
	"iter"
	"time"
)

// What the tests look at from outside.
const (
	HoldSQL          = holdSQL
	SweepSQL         = sweepSQL
	TakenSQL         = takenSQL
	ReleaseLapsedSQL = releaseLapsedSQL
	BookingByKeySQL  = bookingByKeySQL
	SweepBatch       = sweepBatch
	MaxCached        = maxCached
)

// ListQuery is the statement of a list.
func ListQuery(opts ListOptions) (string, []any) { return opts.query() }

// RulesOf are the rules of a resource, without a database.
func RulesOf(r Resource) (*rules, error) { return newRules(r.withDefaults(), "", time.Time{}) }

// Starts are the starts of slots in [from, to).
func (r *rules) Starts(from, to time.Time) iter.Seq[time.Time] { return r.starts(from, to) }

// IsStart tells whether a hold at t would be taken for a slot.
func (r *rules) IsStart(t time.Time) bool { return r.isStart(t) }

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
