package booking

import "context"

// The bookings that are not settled yet are in the order of their ends in an index of
// their own, which a confirmation does not touch. Those that somebody else has locked are
// left for the next time; so this waits for nobody, and any number of replicas share the
// work. The array has them looked up one by one in any plan, where a join may read the
// whole table when the planner cannot know that nothing is due.
const completePastSQL = `
WITH due AS MATERIALIZED (
    SELECT b.id FROM booking_platform.bookings b
    WHERE b.unsettled AND b.kind = 'booking' AND b.status = 'confirmed'
      AND upper(b.during) < statement_timestamp() - make_interval(secs => $1::double precision)
    ORDER BY upper(b.during)
    LIMIT $2::integer
    FOR NO KEY UPDATE SKIP LOCKED
), completed AS (
    UPDATE booking_platform.bookings b SET status = 'completed', updated_at = statement_timestamp()
    WHERE b.id = ANY (ARRAY(SELECT d.id FROM due d))
    RETURNING b.id
), recorded AS (` + recordSQL + `
    SELECT c.id, 'confirmed', 'completed', NULL, NULL, $3::text, '' FROM completed c
)
SELECT count(*) AS completed FROM completed`

// CompletePast is a step to run every now and then, every few minutes say: it completes
// the confirmed bookings that ended longer than [Options.CompleteAfter] ago, in batches,
// until none is left or ctx ends, and returns how many. Where that is 0 it does nothing
// at all. Blocks stay as they are. Whoever noted a no-show before is not overruled, and
// [Store.NoShow] still corrects one after. The history names the actor of ctx, or
// "booking".
//
// Every replica may run it at any time: they share the work and never wait for each
// other, nor for a booking that somebody is just changing. Nothing to do is one round
// trip that reads one index.
func (s *Store) CompletePast(ctx context.Context) (int, error) {
	if s.completeAfter == 0 {
		return 0, nil
	}
	type answer struct {
		Completed int `db:"completed"`
	}
	completed := 0
	for {
		var row answer
		err := s.run(ctx, func(q Querier) (err error) {
			row, _, err = selectOne[answer](ctx, q, completePastSQL, s.completeAfter.Seconds(), sweepBatch,
				sweeper(ctx))
			return err
		})
		if err != nil {
			return completed, wrap(ctx, "complete past bookings", err)
		}
		completed += row.Completed
		if row.Completed < sweepBatch {
			break
		}
	}
	if completed > 0 {
		s.log.InfoContext(ctx, "booking: completed past bookings", "count", completed)
	}
	return completed, nil
}
