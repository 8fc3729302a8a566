package webhook

import "sync/atomic"

// Stats counts deliveries since the receiver was made, in this process alone. Received is the sum of Processed to Rejected, apart
// from deliveries that have no answer yet.
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
	// OtherVersion counts verified deliveries, whatever became of them, whose API version is not the one stripe-go is
	// made for. A handler that decodes the object with stripe-go's types should look at them.
	OtherVersion int64 `json:"otherVersion"`
}

// counter is the place of one count.
type counter int

const (
	countReceived counter = iota
	countProcessed
	countDuplicates
	countIgnored
	countUnmatched
	countParked
	countErrors
	countRejected
	countOtherVersion
	counterEnd
)

type counters [counterEnd]atomic.Int64

func (c *counters) add(i counter) { c[i].Add(1) }

// Stats reads the counters. It does not touch the database.
func (r *Receiver) Stats() Stats {
	return Stats{
		Received:     r.counts[countReceived].Load(),
		Processed:    r.counts[countProcessed].Load(),
		Duplicates:   r.counts[countDuplicates].Load(),
		Ignored:      r.counts[countIgnored].Load(),
		Unmatched:    r.counts[countUnmatched].Load(),
		Parked:       r.counts[countParked].Load(),
		Errors:       r.counts[countErrors].Load(),
		Rejected:     r.counts[countRejected].Load(),
		OtherVersion: r.counts[countOtherVersion].Load(),
	}
}
