package webhook

import (
	"sync/atomic"
	"time"
)

// Stats counts deliveries since the receiver was made, in this process alone. Received is
// the sum of Processed to Rejected, apart from deliveries that have no answer yet.
// [Waiting] tells what the ledger knows, of all replicas together.
type Stats struct {
	Received   int64 `json:"received"`
	Processed  int64 `json:"processed"`
	Duplicates int64 `json:"duplicates"`
	Ignored    int64 `json:"ignored"`
	Unmatched  int64 `json:"unmatched"`
	Parked     int64 `json:"parked"`
	// Errors counts the deliveries that were answered 500.
	Errors   int64 `json:"errors"`
	Rejected int64 `json:"rejected"`
	// OtherVersion counts verified deliveries, whatever became of them, whose API version
	// is not the one stripe-go is made for. A handler that decodes the object with
	// stripe-go's types should look at them.
	OtherVersion int64 `json:"otherVersion"`
	// Reasons counts the rejected and the ignored by reason. Every reason that a delivery
	// can have is in it.
	Reasons map[Reason]int64 `json:"reasons"`
	// Secrets counts the verified deliveries by the secret that they were signed with, in
	// the order that New was given. While a secret is being rolled Stripe signs with
	// both, and the first that fits is counted: so give the new one first, and retire the
	// old one when its count stands still.
	Secrets []int64 `json:"secrets"`
	// LastProcessed is when, by this process's clock, a delivery was last processed: UTC,
	// zero before the first.
	LastProcessed time.Time `json:"lastProcessed,omitzero"`
}

// counter is the place of one count.
type counter int

const (
	countReceived counter = iota
	countProcessed
	countDuplicates
	countUnmatched
	countParked
	countErrors
	countOtherVersion

	countNoHandler
	countNotOurs
	countTestMode
	countLiveMode
	countOtherAccount

	countSignatureMissing
	countSignatureMalformed
	countSignatureWrong
	countTooOld
	countFuture
	countNotAnEvent
	countBodyUnreadable
	countBodyTooLarge
	countRateLimited
	counterEnd
)

// counters is safe for concurrent use.
type counters struct {
	counts [counterEnd]atomic.Int64
	// secrets has a place for each secret.
	secrets []atomic.Int64
	// lastProcessed is in nanoseconds since 1970, 0 before the first.
	lastProcessed atomic.Int64
}

// note counts a delivery that is about to be answered.
func (c *counters) note(d Delivery, place counter, now time.Time) {
	c.counts[place].Add(1)
	if d.OtherVersion {
		c.counts[countOtherVersion].Add(1)
	}
	if d.Secret > 0 {
		c.secrets[d.Secret-1].Add(1)
	}
	if d.Outcome == Processed {
		c.lastProcessed.Store(now.UnixNano())
	}
}

// Stats reads the counters. It does not touch the database.
func (r *Receiver) Stats() Stats {
	c := &r.counts
	s := Stats{
		Received:     c.counts[countReceived].Load(),
		Processed:    c.counts[countProcessed].Load(),
		Duplicates:   c.counts[countDuplicates].Load(),
		Unmatched:    c.counts[countUnmatched].Load(),
		Parked:       c.counts[countParked].Load(),
		Errors:       c.counts[countErrors].Load(),
		OtherVersion: c.counts[countOtherVersion].Load(),
		Reasons:      map[Reason]int64{},
		Secrets:      make([]int64, len(c.secrets)),
	}
	for v, con := range responses {
		if v.reason == "" {
			continue
		}
		n := c.counts[con.counter].Load()
		s.Reasons[v.reason] = n
		if v.outcome == Rejected {
			s.Rejected += n
		} else {
			s.Ignored += n
		}
	}
	for i := range c.secrets {
		s.Secrets[i] = c.secrets[i].Load()
	}
	if at := c.lastProcessed.Load(); at != 0 {
		s.LastProcessed = time.Unix(0, at).UTC()
	}
	return s
}
