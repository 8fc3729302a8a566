package webhook

import (
	"sync/atomic"
	"time"
)

// Stats counts the deliveries of this process. Received is the sum of Processed to
// Rejected, plus deliveries in progress. [Ledger.Backlog] covers all replicas.
type Stats struct {
	Received   int64 `json:"received"`
	Processed  int64 `json:"processed"`
	Duplicates int64 `json:"duplicates"`
	Ignored    int64 `json:"ignored"`
	Unmatched  int64 `json:"unmatched"`
	Parked     int64 `json:"parked"`
	// Errors counts responses with status 500.
	Errors   int64 `json:"errors"`
	Rejected int64 `json:"rejected"`
	// OtherVersion counts verified deliveries with another API version than stripe-go's,
	// for handlers that decode the object with its types.
	OtherVersion int64 `json:"otherVersion"`
	// Reasons counts rejected and ignored deliveries by reason, with an entry for every
	// reason.
	Reasons map[Reason]int64 `json:"reasons"`
	// Secrets counts verified deliveries by secret, in the order given to New. During a
	// rotation Stripe signs with both, and the first match counts.
	Secrets []int64 `json:"secrets"`
	// LastProcessed is when a delivery was last processed, by this process's clock: UTC,
	// zero before the first.
	LastProcessed time.Time `json:"lastProcessed,omitzero"`
}

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
	counts  [counterEnd]atomic.Int64
	secrets []atomic.Int64
	// lastProcessed is in nanoseconds since 1970, 0 before the first.
	lastProcessed atomic.Int64
}

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

// Stats returns the counters without querying the database.
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
