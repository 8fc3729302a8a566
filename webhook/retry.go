package webhook

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

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

// separator stands between the names of a list: no type of event and no account has it.
const separator = "\x1f"

// scopeSQL is true of an event that this receiver has a handler for: by type, mode and
// account. An event of another replica's is neither tried nor postponed here. The lists
// are constants to the planner, which sees from its statistics how rare the types are.
const scopeSQL = `e.type = ANY (string_to_array($2::text, E'\x1f'))
	AND ($3::text = '' OR e.livemode = ($3::text = 'live'))
	AND ($4::text IS NULL OR e.account = ANY (string_to_array($4::text, E'\x1f')))`

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
		outcome, err := r.takeUp(ctx, ev, "webhook event retried", Unmatched)
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

// scope is what scopeSQL is told: the types that have a handler here, and the accounts,
// one's own being the empty one; no list of accounts is all of them.
func (r *Receiver) scope() (types string, accounts *string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	types = strings.Join(slices.Sorted(maps.Keys(r.handlers)), separator)
	if slices.Contains(r.opts.Accounts, AnyAccount) {
		return types, nil
	}
	list := separator + strings.Join(r.opts.Accounts, separator)
	return types, &list
}
