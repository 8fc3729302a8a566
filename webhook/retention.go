package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

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
