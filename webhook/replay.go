package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ReplayOptions selects the events of [Receiver.Replay]. The zero value is the oldest 100
// that are failed or unmatched.
type ReplayOptions struct {
	// IDs selects single events, in this order, regardless of Type to Limit.
	IDs []string
	// Outcomes to replay; empty means Failed and Unmatched. Parked and Ignored are
	// allowed, Processed is not.
	Outcomes []Outcome
	// Type keeps only events of that type.
	Type string
	// Since (inclusive) and Until (exclusive) bound the time of receipt.
	Since, Until time.Time
	// Limit is how many at most, oldest first: 0 is 100, and more than 10,000 is 10,000.
	Limit int
	// DryRun returns what would be replayed.
	DryRun bool
}

// Skip is why an event was not replayed.
type Skip string

const (
	// SkippedUnknown: the event is not in the ledger.
	SkippedUnknown Skip = "unknown"
	// SkippedNoHandler: this receiver has no handler for the event's type, mode or
	// account.
	SkippedNoHandler Skip = "no_handler"
	// SkippedOutcome: the outcome is not one of ReplayOptions.Outcomes.
	SkippedOutcome Skip = "outcome"
	// SkippedNoPayload: the body is not kept.
	SkippedNoPayload Skip = "no_payload"
)

// Replayed is the result for one event.
type Replayed struct {
	ID, Type string
	// Was is the outcome before.
	Was Outcome
	// Outcome is as of a delivery; empty if skipped and in a dry run.
	Outcome Outcome
	Skipped Skip
	// Err is why it Failed. An event that was parked, or ignored as not ours or by an
	// operator, stays so.
	Err error
}

// Settled reports whether nothing is left to do for a replayed event.
func (r Replayed) Settled() bool {
	return r.Outcome != "" && r.Outcome != Failed && r.Outcome != Unmatched
}

const replaySQL = `
SELECT e.stripe_event_id
FROM booking_platform.payment_events e
WHERE e.receiver = $1::text AND ` + scopeSQL + `
	AND e.outcome = ANY (string_to_array($5::text, ','))
	AND ($6::text = '' OR e.type = $6::text)
	AND e.received_at >= COALESCE($7::timestamptz, '-infinity'::timestamptz)
	AND e.received_at < COALESCE($8::timestamptz, 'infinity'::timestamptz)
ORDER BY e.received_at, e.stripe_event_id
LIMIT $9::integer`

// Replay processes events again, one after the other, with a delivery's claim and this
// receiver's handlers. Two replays at once have one effect. It returns the results so far
// and an error of the database, the context or the options; an event that fails is not an
// error.
//
// One round trip finds the events; each takes one more and those of a delivery. Safe on
// every replica at once.
func (r *Receiver) Replay(ctx context.Context, opts ReplayOptions) ([]Replayed, error) {
	claimable, err := opts.claimable()
	if err != nil {
		return nil, err
	}
	ids := opts.IDs
	if len(ids) == 0 {
		if ids, err = r.replayable(ctx, claimable, opts); err != nil {
			return nil, fmt.Errorf("webhook: find what to replay: %w", err)
		}
	}
	var out []Replayed
	for _, id := range ids {
		one, err := r.replay(ctx, id, claimable, opts.DryRun)
		if err != nil {
			return out, err
		}
		out = append(out, one)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
	}
	return out, nil
}

func (o ReplayOptions) claimable() (string, error) {
	if len(o.Outcomes) == 0 {
		return string(Failed) + "," + string(Unmatched), nil
	}
	var names []string
	for _, outcome := range o.Outcomes {
		switch outcome {
		case Failed, Unmatched, Parked, Ignored:
			names = append(names, string(outcome))
		default:
			return "", fmt.Errorf("webhook: replay: what is %q is not taken up again", outcome)
		}
	}
	return strings.Join(names, ","), nil
}

func (r *Receiver) replayable(ctx context.Context, claimable string, opts ReplayOptions) ([]string, error) {
	limit := opts.Limit
	if limit <= 0 {
		limit = 100
	}
	types, accounts := r.scope()
	rows, err := r.db.QueryContext(ctx, replaySQL, r.name, types, string(r.opts.Mode), accounts,
		claimable, opts.Type, orNull(opts.Since), orNull(opts.Until), min(limit, 10_000))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// The payloads of all events could be large.
func (r *Receiver) replay(ctx context.Context, id, claimable string, dry bool) (Replayed, error) {
	record, err := r.ledger.Find(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Replayed{ID: id, Skipped: SkippedUnknown}, nil
	}
	if err != nil {
		return Replayed{}, err
	}
	one := Replayed{ID: id, Type: record.Type, Was: record.Outcome}
	ev, readable := decode(record.Payload)
	switch {
	case !strings.Contains(","+claimable+",", ","+string(record.Outcome)+","):
		one.Skipped = SkippedOutcome
		return one, nil
	case !readable:
		one.Skipped = SkippedNoPayload
		return one, nil
	}
	if handlers, _ := r.handlersFor(ev); len(handlers) == 0 {
		one.Skipped = SkippedNoHandler
		return one, nil
	}
	if dry {
		return one, nil
	}
	ev.claimable = claimable
	one.Outcome, one.Err = r.processAndLog(ctx, ev, "webhook event replayed", "")
	return one, nil
}

// Receive processes an event that is known to come from Stripe, such as the response to
// GET /v1/events, without a signature, as [Receiver.ServeHTTP] does. It returns Duplicate
// for an event that was settled before, Rejected with a *[RejectedError] for what is not
// an event, and Failed with the error, within Options.Timeout. It is neither counted in
// [Receiver.Stats] nor observed; duplicates are not logged. Safe on every replica at
// once.
func (r *Receiver) Receive(ctx context.Context, payload []byte) (Outcome, error) {
	ev, ok := decode(payload)
	if !ok {
		return Rejected, &RejectedError{ReasonNotAnEvent}
	}
	return r.processAndLog(ctx, ev, "webhook event received without a delivery", Duplicate)
}

// processAndLog is process for an event without a request. It logs a line unless the
// outcome is silent.
func (r *Receiver) processAndLog(ctx context.Context, ev Event, message string, silent Outcome) (Outcome, error) {
	start := time.Now()
	n := &annotations{}
	ctx = context.WithValue(ctx, annotationsKey{}, n)
	v, err := r.process(ctx, ev, n)
	if v.outcome == silent {
		return v.outcome, err
	}
	d := Delivery{
		Outcome: v.outcome, Reason: v.reason, EventID: ev.ID, EventType: ev.Type, OriginRequestID: ev.RequestID,
		Bytes: len(ev.Payload), Duration: time.Since(start), Err: err,
	}
	r.logDelivery(ctx, responses[v].level, message, d, n)
	return v.outcome, err
}
