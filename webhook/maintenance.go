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

// Run calls [Receiver.RetryWaiting] about every five seconds (time limit 20 s) and
// [Receiver.DeleteOld] about every ten minutes (one minute), both also at the start,
// until ctx ends, and returns nil. Failed runs are logged. Options.OnStep gets
// "webhook.RetryWaiting" and "webhook.DeleteOld". Safe on every replica at once.
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

// retryFor is for failed events, and those ignored without a handler.
const retryFor = 7 * 24 * time.Hour

const (
	// retryFailed bounds a run's failed and ignored events.
	retryFailed = 50
	// retryUnmatched bounds a run's unmatched events: most may be another product's.
	retryUnmatched = 25
)

// The lease of an event is its next retry_at, so that a process that dies leaves it to a
// later run. A failed event waits half its age, from five seconds to an hour, and after a
// week for ever. An unmatched one waits its age, up to six hours, with a retry at the end
// of UnmatchedFor ($5, in seconds). The newest unmatched events, and those about a
// Checkout Session, come first: what an event waits for comes soon or not at all.
const leaseSQL = `
UPDATE booking_platform.payment_events e SET retry_at = CASE
	WHEN e.outcome = 'unmatched' THEN statement_timestamp() + GREATEST(interval '5 seconds', LEAST(interval '6 hours',
		statement_timestamp() - e.received_at,
		CASE WHEN e.received_at > statement_timestamp() - $5::bigint * interval '1 second'
		THEN e.received_at - statement_timestamp() + ($5::bigint + 1) * interval '1 second' END))
	WHEN e.received_at < statement_timestamp() - $6::bigint * interval '1 second' THEN 'infinity'::timestamptz
	ELSE statement_timestamp() + LEAST(interval '1 hour',
		GREATEST(interval '5 seconds', (statement_timestamp() - e.received_at) / 2)) END
WHERE e.receiver = $1::text AND e.stripe_event_id = ANY (
	ARRAY(SELECT e.stripe_event_id FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text AND e.outcome = 'failed' AND e.retry_at <= statement_timestamp()
			AND ` + scopeSQL + `
		ORDER BY e.retry_at LIMIT $7::integer FOR UPDATE SKIP LOCKED)
	|| ARRAY(SELECT e.stripe_event_id FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text AND ` + skippedSQL + `
			AND e.payload IS NOT NULL AND e.retry_at <= statement_timestamp()
			AND e.received_at >= statement_timestamp() - $6::bigint * interval '1 second' AND ` + scopeSQL + `
		ORDER BY e.received_at LIMIT $7::integer FOR UPDATE SKIP LOCKED)
	|| ARRAY(SELECT e.stripe_event_id FROM booking_platform.payment_events e
		WHERE e.receiver = $1::text AND e.outcome = 'unmatched' AND e.retry_at <= statement_timestamp()
			AND ` + scopeSQL + `
		ORDER BY e.stripe_session_id <> '' DESC, e.received_at DESC LIMIT $8::integer FOR UPDATE SKIP LOCKED))
RETURNING e.outcome, e.received_at, e.stripe_session_id <> '', coalesce(e.payload, '')`

type leased struct {
	outcome  Outcome
	received time.Time
	session  bool
	payload  string
}

// RetryWaiting retries events that failed, that are unmatched, and that a replica without
// a handler ignored during a rolling deployment. Run it every few seconds on every
// replica: Stripe does not send an unmatched event again. It returns how many events were
// settled, and the errors of those that failed.
//
// It takes events with a handler here, leased in the database and claimed like a
// delivery, so it is safe on every replica at once. One run takes up to 100 failed and
// ignored and then up to 25 unmatched events. Pauses grow with an event's age. A failed
// event is retried for a week, an unmatched one about 25 times until Options.UnmatchedFor
// has passed. A run without events is one transaction of one statement on small indexes.
func (r *Receiver) RetryWaiting(ctx context.Context) (int, error) {
	waiting, err := r.lease(ctx)
	if err != nil {
		return 0, fmt.Errorf("webhook: lease events: %w", err)
	}
	settled := 0
	var failures []error
	for _, w := range waiting {
		// No payload, or another program's.
		ev, ok := decode([]byte(w.payload))
		if !ok {
			continue
		}
		// Not logged while unmatched.
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

// Failed events come first: they are for this receiver.
func rank(l leased) int {
	switch {
	case l.outcome != Unmatched:
		return 0
	case l.session:
		return 1
	}
	return 2
}

// minRows is how long Stripe can resend an event, which without its row would be no
// duplicate.
const minRows = 30 * 24 * time.Hour

const (
	// deleteBatch keeps locks short.
	deleteBatch = 500
	// deleteFor bounds each kind of a run, so that all end within the step's timeout.
	deleteFor = 12 * time.Second
)

// An event settled late is kept from then on.
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

// Ends unmatched events that cannot be retried: no replica has a handler any more, or the
// payload is gone.
const giveUpSQL = `
UPDATE booking_platform.payment_events
SET outcome = 'ignored', reason = 'not_ours', processed_at = statement_timestamp()
WHERE receiver = $1::text AND stripe_event_id = ANY (ARRAY(
	SELECT e.stripe_event_id FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.outcome = 'unmatched'
		AND e.received_at < statement_timestamp() - $3::bigint * interval '1 second'
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
	case o.PersonalDataFor < 0:
		return errors.New("webhook: PersonalDataFor is negative")
	case o.KeepRowsFor < minRows:
		return fmt.Errorf("webhook: KeepRowsFor is %s, and a row must be kept for %s at least", o.KeepRowsFor, minRows)
	}
	return nil
}

// DeleteOld deletes the payloads of settled events after Options.KeepPayloadFor, and the
// events after Options.KeepRowsFor. Failed and parked events stay unless
// Options.DeleteWaiting is set; their payloads are redacted after
// Options.PersonalDataFor. Unmatched events that cannot be retried end as Ignored with
// ReasonNotOurs, a day after Options.UnmatchedFor but not before a week. Run it every few
// minutes. It returns how many rows it changed.
//
// It works in transactions of 500 rows that skip locked rows, for up to 12 seconds of
// each kind; without work, in three of one statement that reads an index, or four with
// PersonalDataFor. Safe on every replica at once.
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
	n, err := r.redactOld(ctx)
	return total + n, err
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

func (r *Receiver) inBatches(ctx context.Context, query string, args ...any) (total int, err error) {
	for began := time.Now(); ; {
		n, err := r.batch(ctx, query, args)
		total += n
		if err != nil || n < deleteBatch || time.Since(began) > deleteFor {
			return total, err
		}
	}
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
