package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// retryBatch is how many events one run of the step takes at most.
const retryBatch = 100

// The lease is the time of the next try: whoever dies leaves the event to the next one. An event waits half as long as it has waited already, so
// that what comes soon is found soon, from five seconds up to an hour; after a week it is left to a person.
const leaseSQL = `
UPDATE booking_platform.payment_events e SET retry_at = CASE
	WHEN e.received_at < statement_timestamp() - interval '7 days' THEN 'infinity'::timestamptz
	ELSE statement_timestamp() + LEAST(interval '1 hour', GREATEST(interval '5 seconds', (statement_timestamp() - e.received_at) / 2)) END
WHERE e.stripe_event_id = (
	SELECT w.stripe_event_id FROM booking_platform.payment_events w
	WHERE w.outcome IN ('failed', 'unmatched') AND w.retry_at <= statement_timestamp()
	ORDER BY w.retry_at LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING e.payload`

// RetryWaiting is one step: it takes up the events that wait, because they matched no row or their handler failed, as another delivery of theirs
// would: through the same claim, so that what has been settled meanwhile is a duplicate. Run it every few seconds. So an event that came before
// what it is about is settled without anybody's help, although Stripe, which was answered 200, does not send it again. It returns how many were
// settled, and takes 100 at most; nothing to do is one round trip that reads one small index.
//
// Each event is leased in the database first, so the step is safe on every replica at once. Its pauses grow with its age, from five seconds to an
// hour; after a week an event is left to a person. The step goes on after one that failed, and returns what failed; it ends with ctx.
func (r *Receiver) RetryWaiting(ctx context.Context) (int, error) {
	settled := 0
	var failures []error
	for range retryBatch {
		var payload sql.NullString
		err := r.lease(ctx, &payload)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return settled, errors.Join(append(failures, err)...)
		}
		// Without its payload, or with one that another program wrote, there is nothing to handle.
		ev, ok := decode([]byte(payload.String))
		if !ok {
			continue
		}
		// One that still matches nothing is not worth a line each time.
		outcome, err := r.takeUp(ctx, ev, "webhook event taken up again", Unmatched)
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

func (r *Receiver) lease(ctx context.Context, payload *sql.NullString) error {
	err := pg.InTx(ctx, r.db.DB, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, leaseSQL).Scan(payload)
	})
	if err != nil {
		return fmt.Errorf("webhook: lease an event: %w", err)
	}
	return nil
}
