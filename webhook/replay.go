package webhook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ReplayOptions say which events [Receiver.Replay] takes up. The zero value is the oldest
// 100 that have failed or matched nothing.
type ReplayOptions struct {
	// IDs names single events, taken up in this order; the fields below that narrow, Type
	// to Limit, then have no meaning.
	IDs []string
	// Outcomes are the outcomes that are taken up: Failed and Unmatched when it is empty.
	// Parked and Ignored are taken up only when they are named. A processed event never
	// is: its effect is a fact.
	Outcomes []Outcome
	// Type keeps only events of that type. Events that this receiver has no handler for
	// are left out in any case.
	Type string
	// Since and Until keep only events received at or after the one and before the other;
	// zero is no bound.
	Since, Until time.Time
	// Limit is how many at most, the oldest first: 0 is 100, and more than 10,000 is
	// 10,000.
	Limit int
	// DryRun says what would be taken up, and does nothing.
	DryRun bool
}

// Skip says why an event was not taken up.
type Skip string

const (
	// SkippedUnknown means that there is no such event in the ledger.
	SkippedUnknown Skip = "unknown"
	// SkippedNoHandler means that this receiver has no handler for the event, by its
	// type, mode or account: a replica that has one may replay it.
	SkippedNoHandler Skip = "no_handler"
	// SkippedOutcome means that its outcome is not one of those that are taken up.
	SkippedOutcome Skip = "outcome"
	// SkippedNoPayload means that its body is not kept, so that there is nothing to
	// handle.
	SkippedNoPayload Skip = "no_payload"
)

// Replayed is what became of one event.
type Replayed struct {
	ID, Type string
	// Was is its outcome before.
	Was Outcome
	// Outcome is what came of it: as of a delivery, with Duplicate for one that somebody
	// else settled meanwhile. Empty when it was Skipped, and in a dry run.
	Outcome Outcome
	// Skipped says why it was not taken up.
	Skipped Skip
	// Err is why it Failed. An event that was parked, or ignored as not ours or by an
	// operator, then stays what it was.
	Err error
}

// Settled tells whether nothing is left to do: the event was taken up, and neither failed
// nor matched nothing.
func (r Replayed) Settled() bool {
	return r.Outcome != "" && r.Outcome != Failed && r.Outcome != Unmatched
}

const replaySQL = `
SELECT e.stripe_event_id
FROM booking_platform.payment_events e
WHERE e.receiver = $1::text AND ` + scopeSQL + `
	AND e.outcome = ANY (string_to_array($5::text, ','))
	AND ($6::text = '' OR e.type = $6::text)
	AND e.received_at >= COALESCE($7::timestamptz, '-infinity'::timestamptz) AND e.received_at < COALESCE($8::timestamptz, 'infinity'::timestamptz)
ORDER BY e.received_at, e.stripe_event_id
LIMIT $9::integer`

// Replay takes up events of this receiver's name, one after the other, as another
// delivery of each would: through the same claim and the handlers that are registered
// here, so that one which has been settled meanwhile is a duplicate, and two replays at
// once have one effect. It returns what became of each that it came to. The error is the
// database's, or the context's, or one of the options; an event that fails is not one.
//
// It takes one round trip to find the events, and for each one more and those of a
// delivery. It is safe on every replica at once, and beside [Receiver.RetryWaiting].
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

// claimable are the outcomes that are taken up, as the claim reads them.
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

// replay takes up one event. Its payload is read only now: a list of them could be large.
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
	if handle, _ := r.handler(ev); handle == nil {
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
