package webhook

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// Run does the background work of a receiver until ctx ends, and then returns nil:
// [Receiver.RetryWaiting] about every five seconds, with a time limit of 20 seconds, and
// [Receiver.DeleteOld] about every ten minutes, with a limit of one minute. Both run at
// the start. A step that fails or panics is logged and runs again in its next round.
// Options.OnStep observes each run as "webhook.RetryWaiting" or "webhook.DeleteOld". Safe
// on every replica at once.
func (r *Receiver) Run(ctx context.Context) error {
	periodic.Run(ctx, r.log, r.opts.OnStep, r.rounds()...)
	return nil
}

func (r *Receiver) rounds() []periodic.Round {
	return []periodic.Round{
		{Every: 5 * time.Second, Steps: []periodic.Step{
			{Name: "webhook.RetryWaiting", Timeout: 20 * time.Second, Do: r.RetryWaiting},
		}},
		{Every: 10 * time.Minute, Steps: []periodic.Step{
			{Name: "webhook.DeleteOld", Timeout: time.Minute, Do: r.DeleteOld},
		}},
	}
}

// retryFor is how long a failed event is tried again by itself, and how long an event
// that a replica ignored for want of a handler can be taken up.
const retryFor = 7 * 24 * time.Hour

const (
	// retryFailed bounds how many events one run of the step takes that failed, and again
	// how many that a replica without a handler ignored.
	retryFailed = 50
	// retryUnmatched is the share of a run that unmatched events have at most, so that
	// events of other products never delay the rest.
	retryUnmatched = 25
)

// A leased event has the time of its next try in retry_at, so that a process that dies
// leaves it to the next run. A failed event waits half as long as it has waited already,
// from five seconds up to an hour; after a week it is left to a person. An unmatched one
// waits as long as it has waited already, up to six hours, and has a try at the end of
// UnmatchedFor ($5, in seconds). Of the unmatched the newest come first, since what an
// event waits for comes soon or not at all, and those about a Checkout Session before the
// others.
const leaseSQL = `
UPDATE booking_platform.payment_events e SET retry_at = CASE
	WHEN e.outcome = 'unmatched' THEN statement_timestamp() + GREATEST(interval '5 seconds', LEAST(interval '6 hours',
		statement_timestamp() - e.received_at, CASE WHEN e.received_at > statement_timestamp() - $5::bigint * interval '1 second'
		THEN e.received_at - statement_timestamp() + ($5::bigint + 1) * interval '1 second' END))
	WHEN e.received_at < statement_timestamp() - $6::bigint * interval '1 second' THEN 'infinity'::timestamptz
	ELSE statement_timestamp() + LEAST(interval '1 hour', GREATEST(interval '5 seconds', (statement_timestamp() - e.received_at) / 2)) END
WHERE e.receiver = $1::text AND e.stripe_event_id = ANY (
	ARRAY(SELECT e.stripe_event_id FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text AND e.outcome = 'failed' AND e.retry_at <= statement_timestamp()
			AND ` + scopeSQL + `
		ORDER BY e.retry_at LIMIT $7::integer FOR UPDATE SKIP LOCKED)
	|| ARRAY(SELECT e.stripe_event_id FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text AND ` + skippedSQL + ` AND e.payload IS NOT NULL AND e.retry_at <= statement_timestamp()
			AND e.received_at >= statement_timestamp() - $6::bigint * interval '1 second' AND ` + scopeSQL + `
		ORDER BY e.received_at LIMIT $7::integer FOR UPDATE SKIP LOCKED)
	|| ARRAY(SELECT e.stripe_event_id FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text AND e.outcome = 'unmatched' AND e.retry_at <= statement_timestamp() AND ` + scopeSQL + `
		ORDER BY e.stripe_session_id <> '' DESC, e.received_at DESC LIMIT $8::integer FOR UPDATE SKIP LOCKED))
RETURNING e.outcome, e.received_at, e.stripe_session_id <> '', coalesce(e.payload, '')`

// leased is an event that this run of the step tries again.
type leased struct {
	outcome  Outcome
	received time.Time
	session  bool
	payload  string
}

// RetryWaiting is one step: it handles again, as another delivery would, the events that
// failed, that matched no row, and that a replica without a handler for them ignored (a
// rolling deployment). It goes through the same claim, so an event that was settled
// meanwhile is a duplicate. Run it every few seconds: Stripe, which was answered 200,
// does not send an unmatched event again. It returns how many events were settled.
//
// It takes events of this receiver's name alone, and of those the ones that it has a
// handler for; so every replica of every receiver runs it. Each event is leased in the
// database first: the step is safe on every replica at once. One run takes 125 events at
// most, failed ones first; unmatched ones have a share of 25, the newest first. Pauses
// grow with an event's age: a failed one is tried for a week and then left to a person,
// an unmatched one for Options.UnmatchedFor, about 25 times in 72 hours, and then
// ignored. Nothing to do is one transaction of one statement, which reads small indexes.
//
// The step goes on after an event that failed, and returns what failed; it ends with ctx.
func (r *Receiver) RetryWaiting(ctx context.Context) (int, error) {
	waiting, err := r.lease(ctx)
	if err != nil {
		return 0, fmt.Errorf("webhook: lease events: %w", err)
	}
	settled := 0
	var failures []error
	for _, w := range waiting {
		// Without a payload, or with one that another program wrote, there is nothing to
		// handle.
		ev, ok := decode([]byte(w.payload))
		if !ok {
			continue
		}
		// An event that still matches nothing is not worth a line each time.
		outcome, err := r.processAndLog(ctx, ev, "webhook event retried", Unmatched)
		switch {
		case err != nil:
			failures = append(failures, err)
		case outcome != Unmatched:
			settled++
		}
		if ctx.Err() != nil {
			break
		}
	}
	return settled, errors.Join(failures...)
}

// lease takes what is due, in the order in which it is handled.
func (r *Receiver) lease(ctx context.Context) (out []leased, err error) {
	types, accounts := r.scope()
	err = pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, leaseSQL, r.name, types, string(r.opts.Mode), accounts,
			r.ledger.unmatchedFor, seconds(retryFor), retryFailed, retryUnmatched)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l leased
			if err := rows.Scan(&l.outcome, &l.received, &l.session, &l.payload); err != nil {
				return err
			}
			out = append(out, l)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b leased) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), b.received.Compare(a.received))
	})
	return out, nil
}

// rank orders what is leased: an event that failed is known to be ours.
func rank(l leased) int {
	switch {
	case l.outcome != Unmatched:
		return 0
	case l.session:
		return 1
	}
	return 2
}

// minRows is the shortest time that a row is kept: as long as Stripe lists an event and
// lets it be sent again. A row that is gone cannot tell a duplicate.
const minRows = 30 * 24 * time.Hour

const (
	// deleteBatch is how many rows one statement touches, so that none holds its locks
	// for long.
	deleteBatch = 500
	// deleteBatches bounds one run of the step.
	deleteBatches = 20
)

// The array makes the inner statement run once, before the outer one. An event that was
// received long ago and settled lately, by a replay for one, is kept from then on: so
// with its row.
const dropPayloadsSQL = `
UPDATE booking_platform.payment_events SET payload = NULL
WHERE receiver = $1::text AND stripe_event_id = ANY (ARRAY(
	SELECT e.stripe_event_id FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.payload IS NOT NULL AND e.outcome IN ('processed', 'ignored')
		AND e.received_at < statement_timestamp() - $3::bigint * interval '1 second'
		AND COALESCE(e.processed_at, e.received_at) < statement_timestamp() - $3::bigint * interval '1 second'
		AND (e.received_at < statement_timestamp() - $4::bigint * interval '1 second' OR NOT (` + skippedSQL + `))
	ORDER BY e.received_at LIMIT $2::integer
	FOR UPDATE SKIP LOCKED))`

// An unmatched event that no replica can handle again, because none has a handler for its
// type any more or its payload is gone, ends with the others.
const giveUpSQL = `
UPDATE booking_platform.payment_events SET outcome = 'ignored', reason = 'not_ours', processed_at = statement_timestamp()
WHERE receiver = $1::text AND stripe_event_id = ANY (ARRAY(
	SELECT e.stripe_event_id FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.outcome = 'unmatched' AND e.received_at < statement_timestamp() - $3::bigint * interval '1 second'
	ORDER BY e.received_at LIMIT $2::integer
	FOR UPDATE SKIP LOCKED))`

const deleteRowsSQL = `
DELETE FROM booking_platform.payment_events
WHERE receiver = $1::text AND stripe_event_id = ANY (ARRAY(
	SELECT o.stripe_event_id FROM booking_platform.payment_events o
	WHERE o.receiver = $1::text AND o.received_at < statement_timestamp() - $3::bigint * interval '1 second'
		AND COALESCE(o.processed_at, o.received_at) < statement_timestamp() - $3::bigint * interval '1 second'
		AND (o.outcome IN ('processed', 'ignored') OR $4::boolean)
	ORDER BY o.received_at, o.stripe_event_id LIMIT $2::integer
	FOR UPDATE SKIP LOCKED))`

// retention checks how long things are kept, and fills in what was not said.
func (o *Options) retention() error {
	if o.KeepPayloadFor == 0 {
		o.KeepPayloadFor = 7 * 24 * time.Hour
	}
	if o.KeepRowsFor == 0 {
		o.KeepRowsFor = 90 * 24 * time.Hour
	}
	if o.UnmatchedFor == 0 {
		o.UnmatchedFor = 72 * time.Hour
	}
	switch {
	case o.UnmatchedFor < time.Minute:
		return errors.New("webhook: UnmatchedFor is less than a minute")
	case o.KeepPayloadFor < 0:
		return errors.New("webhook: KeepPayloadFor is negative")
	case o.KeepRowsFor < minRows:
		return fmt.Errorf("webhook: KeepRowsFor is %s, and a row must be kept for %s at least", o.KeepRowsFor, minRows)
	}
	return nil
}

// DeleteOld is one step, on the events of this receiver's name: it drops the payloads of
// settled events after Options.KeepPayloadFor, and deletes settled events after
// Options.KeepRowsFor. Events that are failed or parked stay, with their payloads, until
// they are settled, unless Options.DeleteWaiting says otherwise. An unmatched event that
// [Receiver.RetryWaiting] can not end, because no replica has a handler for it any more,
// it ends a day after Options.UnmatchedFor (after a week at the earliest), as Ignored
// with ReasonNotOurs. Run it every few minutes. It returns how many rows it touched.
//
// It works in batches of 500 rows, each a transaction of its own that steps over rows in
// use, and takes 20 of each kind at most; nothing to do is three transactions of one
// statement that reads an index. It is safe on every replica at once.
func (r *Receiver) DeleteOld(ctx context.Context) (int, error) {
	total := 0
	for _, do := range []struct {
		what, query string
		args        []any
	}{
		{"end old unmatched events", giveUpSQL, []any{seconds(max(r.opts.UnmatchedFor+24*time.Hour, retryFor))}},
		{"drop old payloads", dropPayloadsSQL,
			[]any{seconds(r.opts.KeepPayloadFor), seconds(max(r.opts.KeepPayloadFor, retryFor))}},
		{"delete old events", deleteRowsSQL, []any{seconds(r.opts.KeepRowsFor), r.opts.DeleteWaiting}},
	} {
		n, err := r.inBatches(ctx, do.query, append([]any{r.name, deleteBatch}, do.args...)...)
		total += n
		if err != nil {
			return total, fmt.Errorf("webhook: %s: %w", do.what, err)
		}
	}
	return total, nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// inBatches repeats a statement until it finds no full batch.
func (r *Receiver) inBatches(ctx context.Context, query string, args ...any) (total int, err error) {
	for range deleteBatches {
		n, err := r.batch(ctx, query, args)
		total += n
		if err != nil || n < deleteBatch {
			return total, err
		}
	}
	return total, nil
}

func (r *Receiver) batch(ctx context.Context, query string, args []any) (int, error) {
	var n int64
	err := pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}
