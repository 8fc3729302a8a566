package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
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
	// OtherVersion reports whether the event's API version differs from stripe-go's.
	OtherVersion bool
	// Secret is the position of the secret it was signed with, from 1; 0 if it was
	// rejected.
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

// annotations are a handler's attributes for the log line.
type annotations struct {
	mu    sync.Mutex
	attrs []slog.Attr
}

type annotationsKey struct{}

// Annotate adds attributes to the log line of the delivery that ctx belongs to, such as
// the booking's id. With another context it does nothing.
func Annotate(ctx context.Context, attrs ...slog.Attr) {
	if n, ok := ctx.Value(annotationsKey{}).(*annotations); ok {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.attrs = append(n.attrs, attrs...)
	}
}

// reset drops the attributes of an attempt that is repeated.
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

// logDelivery logs one delivery. The caller's slog.Handler adds the request's id from
// ctx.
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
