package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// Run does the background work of an Auth and returns nil when ctx ends:
// [Auth.DeleteExpired] at the start and about every ten minutes, with a time limit of 20
// seconds. A failed run is logged. Options.OnStep observes each run as
// "auth.DeleteExpired". Safe on every replica at once.
func (a *Auth) Run(ctx context.Context) error {
	periodic.Run(ctx, a.logger, a.onStep, periodic.Round{Every: 10 * time.Minute, Steps: []periodic.Step{
		{Name: "auth.DeleteExpired", Timeout: 20 * time.Second, Do: a.DeleteExpired},
	}})
	return nil
}

// The ARRAY makes the inner statement run once. SKIP LOCKED lets replicas share the work.
const deleteExpired = `
DELETE FROM booking_platform.sessions
WHERE token_hash = ANY (ARRAY(
    SELECT token_hash
    FROM booking_platform.sessions
    WHERE expires_at <= statement_timestamp()
       OR last_seen_at <= statement_timestamp() - make_interval(secs => $1::float8)
    LIMIT 10000
    FOR UPDATE SKIP LOCKED))`

// DeleteExpired deletes up to 10,000 expired sessions and 100,000 full budgets of
// [LoginLimits], which have no effect any more, and returns how many rows. It works in
// batches of 10,000, one statement each. Safe on every replica at once.
func (a *Auth) DeleteExpired(ctx context.Context) (int, error) {
	n, err := affected(pg.Exec(ctx, a.db, deleteExpired, a.idle.Seconds()))
	if err != nil {
		return 0, fmt.Errorf("auth: delete expired sessions: %w", err)
	}
	if a.limits.Off {
		return n, nil
	}
	budgets, err := ratelimit.DeleteFull(ctx, a.db)
	if err != nil {
		return n, fmt.Errorf("auth: delete login budgets: %w", err)
	}
	return n + budgets, nil
}
