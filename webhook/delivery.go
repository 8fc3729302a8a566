package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Delivery is what became of one request, for Options.Observe.
type Delivery struct {
	Outcome Outcome
	// Reason says why it was Rejected.
	Reason Reason
	// EventID and EventType are empty when it was rejected.
	EventID, EventType string
	// OtherVersion says that the event's API version is not the one stripe-go is made for.
	OtherVersion bool
	// Status is that of the HTTP answer.
	Status int
	// Bytes is how much of the body was read.
	Bytes int
	// Duration is the time from the request's arrival to its answer.
	Duration time.Duration
	// Err says why it Failed, or why the body could not be read.
	Err error
}

// notes collects what a handler wants on its delivery's log line. A handler that has outlived its time limit may still add to it.
type notes struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type notesKey struct{}

// Annotate puts attributes on the log line of the delivery that ctx belongs to: the booking's id, for one. A handler passes the
// context it was given. With any other context it does nothing.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if n, ok := ctx.Value(notesKey{}).(*notes); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.attrs = append(n.attrs, attrs...)
	}
}

// reset forgets what an attempt noted that is going to be made again.
func (n *notes) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attrs = nil
}

func (n *notes) list() []slog.Attr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]slog.Attr(nil), n.attrs...)
}

// logDelivery writes the delivery's one line. The handler of the caller's logger adds the request's id from the context.
func (r *Receiver) logDelivery(ctx context.Context, level slog.Level, message string, d Delivery, n *notes) {
	if !r.log.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.String("outcome", string(d.Outcome)), slog.Int("bytes", d.Bytes), slog.Duration("duration", d.Duration)}
	if d.Outcome == Rejected {
		attrs = append(attrs, slog.String("reason", string(d.Reason)))
	} else {
		attrs = append(attrs, slog.String("event_id", d.EventID), slog.String("event_type", d.EventType))
	}
	if d.Err != nil {
		attrs = append(attrs, slog.String("error", d.Err.Error()))
		if state := sqlState(d.Err); state != "" {
			attrs = append(attrs, slog.String("sqlstate", state))
		}
		if p := (*panicError)(nil); errors.As(d.Err, &p) {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
	}
	r.log.LogAttrs(ctx, level, message, append(attrs, n.list()...)...)
}
