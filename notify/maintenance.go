package notify

import (
	"context"
	"time"
)

// Messages whose replica would still send them are dropped too, if none did for that long.
const dropOldSQL = `
UPDATE booking_platform.messages m SET state = 'dropped', reason = 'not_sent_in_time', leased = false,
	settled_at = statement_timestamp()
WHERE m.id = ANY (ARRAY(
	SELECT d.id FROM booking_platform.messages d
	WHERE d.state = 'due' AND d.next_attempt_at < statement_timestamp() - $1::bigint * interval '1 second'
	ORDER BY d.next_attempt_at LIMIT $2::integer FOR UPDATE SKIP LOCKED))`

const deleteOldSQL = `
DELETE FROM booking_platform.messages m WHERE m.id = ANY (ARRAY(
	SELECT d.id FROM booking_platform.messages d
	WHERE d.settled_at < statement_timestamp() - $1::bigint * interval '1 second'
	ORDER BY d.settled_at LIMIT $2::integer FOR UPDATE SKIP LOCKED))`

const deleteBatch = 1000

// DeleteOld drops messages that no replica has tried to send for Options.GiveUpAfter, for
// example because there is no sender, and deletes those that were settled Options.KeepFor
// ago. It returns how many. Safe on every replica; batches of 1,000.
func (s *Store) DeleteOld(ctx context.Context) (int, error) {
	total := 0
	for _, step := range []struct {
		what, query string
		after       time.Duration
	}{
		{"drop old messages", dropOldSQL, s.opts.GiveUpAfter},
		{"delete old messages", deleteOldSQL, s.opts.KeepFor},
	} {
		for {
			n, err := s.exec(ctx, step.what, step.query, int64(step.after/time.Second), deleteBatch)
			total += n
			if err != nil {
				return total, err
			}
			if n < deleteBatch {
				break
			}
		}
	}
	return total, nil
}
