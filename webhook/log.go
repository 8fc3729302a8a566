package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Delivery is what became of one request, for Options.Observe.
type Delivery struct {
	Outcome Outcome
	// Reason says why it was Rejected or Ignored.
	Reason Reason
	// EventID and EventType are empty when it was rejected.
	EventID, EventType string
	// OriginRequestID is the id of the request that made what the event is about: see
	// [Event.RequestID].
	OriginRequestID string
	// OtherVersion says that the event's API version is not the one stripe-go is made
	// for.
	OtherVersion bool
	// Secret is the position among the receiver's secrets of the one it was signed with,
	// 1 for the first; 0 when it was rejected.
	Secret int
	// Status is that of the HTTP answer.
	Status int
	// Bytes is how much of the body was read.
	Bytes int
	// Duration is the time from the request's arrival to its answer.
	Duration time.Duration
	// Err says why it Failed, or why the body could not be read.
	Err error

	// retryAfter is for a sender of too many bad signatures; silent keeps such a delivery
	// out of the log.
	retryAfter time.Duration
	silent     bool
}

// annotations collects what a handler wants on its delivery's log line. A handler that has
// outlived its time limit may still add to it.
type annotations struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type annotationsKey struct{}

// Annotate puts attributes on the log line of the delivery that ctx belongs to: the
// booking's id, for one. A handler passes the context it was given. With any other
// context it does nothing.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if n, ok := ctx.Value(annotationsKey{}).(*annotations); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.attrs = append(n.attrs, attrs...)
	}
}

// reset forgets what an attempt noted that is going to be made again.
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

// logDelivery writes the delivery's one line. The handler of the caller's logger adds the
// request's id from the context.
func (r *Receiver) logDelivery(ctx context.Context, level slog.Level, message string, d Delivery, n *annotations) {
	if d.silent || !r.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("outcome", string(d.Outcome)), slog.Int("bytes", d.Bytes),
		slog.Duration("duration", d.Duration)}
	if d.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(d.Reason)))
	}
	if d.Outcome != Rejected {
		attrs = append(attrs, slog.String("event_id", d.EventID), slog.String("event_type", d.EventType))
	}
	if d.OriginRequestID != "" {
		attrs = append(attrs, slog.String("origin_request_id", d.OriginRequestID))
	}
	// Who still signs with an older secret is looked for when that is to be retired.
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
