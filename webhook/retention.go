package webhook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// minRows is the shortest time that a row is kept: as long as Stripe lists an event and lets it be sent again. A row that is gone cannot
// tell a duplicate.
const minRows = 30 * 24 * time.Hour

const (
	// deleteBatch is how many rows one statement touches, so that none holds its locks for long.
	deleteBatch = 500
	// deleteBatches bounds one run of the step.
	deleteBatches = 20
)

// The array makes the inner statement run once, before the outer one.
const dropPayloadsSQL = `
UPDATE booking_platform.payment_events SET payload = NULL
WHERE stripe_event_id = ANY (ARRAY(
	SELECT o.stripe_event_id FROM booking_platform.payment_events o
	WHERE o.payload IS NOT NULL AND o.outcome IN ('processed', 'ignored') AND o.received_at < statement_timestamp() - $1::bigint * interval '1 second'
	ORDER BY o.received_at LIMIT $2::integer
	FOR UPDATE SKIP LOCKED))`

// What was received long ago and settled lately, by a person for one, is kept from then on: whoever did it will look for it.
const deleteRowsSQL = `
DELETE FROM booking_platform.payment_events
WHERE stripe_event_id = ANY (ARRAY(
	SELECT o.stripe_event_id FROM booking_platform.payment_events o
	WHERE o.received_at < statement_timestamp() - $1::bigint * interval '1 second'
		AND COALESCE(o.processed_at, o.received_at) < statement_timestamp() - $1::bigint * interval '1 second'
		AND (o.outcome IN ('processed', 'ignored') OR $3::boolean)
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
	switch {
	case o.KeepPayloadFor < 0:
		return errors.New("webhook: KeepPayloadFor is negative")
	case o.KeepRowsFor < minRows:
		return fmt.Errorf("webhook: KeepRowsFor is %s, and a row must be kept for %s at least", o.KeepRowsFor, minRows)
	}
	return nil
}

// DeleteOld is one step: it drops the payloads of settled events after Options.KeepPayloadFor, and deletes settled events after
// Options.KeepRowsFor. Events that are failed, unmatched or parked stay, with their payloads, until they are settled, unless
// Options.DeleteWaiting says otherwise. Run it every few minutes. It returns how many rows it touched.
//
// It works in batches of 500 rows, each a transaction of its own that steps over rows in use, and takes 20 of each kind at most; nothing
// to do is two round trips of BEGIN, one statement that reads an index, and COMMIT. It is safe on every replica at once.
func (r *Receiver) DeleteOld(ctx context.Context) (int, error) {
	payloads, err := r.inBatches(ctx, dropPayloadsSQL, int64(r.opts.KeepPayloadFor/time.Second), deleteBatch)
	if err != nil {
		return payloads, fmt.Errorf("webhook: drop old payloads: %w", err)
	}
	rows, err := r.inBatches(ctx, deleteRowsSQL, int64(r.opts.KeepRowsFor/time.Second), deleteBatch, r.opts.DeleteWaiting)
	if err != nil {
		return payloads + rows, fmt.Errorf("webhook: delete old events: %w", err)
	}
	return payloads + rows, nil
}

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
