package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Delivery describes one request, for Options.Observe.
type Delivery struct {
	Outcome Outcome
	Reason  Reason
	// EventID and EventType are empty if it was rejected.
	EventID, EventType string
	// OriginRequestID is [Event.RequestID].
	OriginRequestID string
	// OtherVersion: the event's API version differs from stripe-go's.
	OtherVersion bool
	// Secret is the position, from 1, of the secret that signed it; 0 if it was rejected.
	Secret int
	Status int
	// Bytes is how much of the body was read.
	Bytes    int
	Duration time.Duration
	// Err is why it Failed, or why the body could not be read.
	Err error

	// For ReasonRateLimited.
	retryAfter time.Duration
	silent     bool
}

type annotations struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type annotationsKey struct{}

// Annotate adds attributes, such as the booking's id, to the log line of the delivery
// that ctx belongs to. With another context it does nothing.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if n, ok := ctx.Value(annotationsKey{}).(*annotations); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.attrs = append(n.attrs, attrs...)
	}
}

// reset is for an attempt that is repeated.
func (n *annotations) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attrs = nil
}

func (n *annotations) list() []slog.Attr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]slog.Attr(nil), n.attrs...)
}

// The caller's slog.Handler adds the request's id from ctx.
func (r *Receiver) logDelivery(ctx context.Context, level slog.Level, message string, d Delivery, n *annotations) {
	if d.silent || !r.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("outcome", string(d.Outcome)), slog.Int("bytes", d.Bytes),
		slog.Float64("duration_ms", float64(d.Duration.Microseconds())/1000)}
	if d.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(d.Reason)))
	}
	if d.Outcome != Rejected {
		attrs = append(attrs, slog.String("event_id", d.EventID), slog.String("event_type", d.EventType))
	}
	if d.OriginRequestID != "" {
		attrs = append(attrs, slog.String("origin_request_id", d.OriginRequestID))
	}
	// Shows who still signs with an old secret.
	if d.Secret > 1 {
		attrs = append(attrs, slog.Int("secret_position", d.Secret))
	}
	if d.Err != nil {
		attrs = append(attrs, slog.String("error", d.Err.Error()))
		if state := pg.SQLState(d.Err); state != "" {
			attrs = append(attrs, slog.String("sqlstate", state))
		}
		if p := (*panicError)(nil); errors.As(d.Err, &p) {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
	}
	r.log.LogAttrs(ctx, level, message, append(attrs, n.list()...)...)
}

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
	// Reasons counts rejected and ignored deliveries, with an entry for every reason.
	Reasons map[Reason]int64 `json:"reasons"`
	// Secrets counts verified deliveries by secret, in the order given to New. During a
	// rotation Stripe signs with both, and the first match counts.
	Secrets []int64 `json:"secrets"`
	// LastProcessed is by this process's clock: UTC, zero before the first.
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
