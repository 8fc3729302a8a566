package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrTooManyHolds tells that whoever asks has as many open holds already as [Options] allow; see [HoldLimitError].
var ErrTooManyHolds = errors.New("too many open holds")

// HoldLimitError tells which limit of open holds a request has met. The database has not changed.
type HoldLimitError struct {
	// Scope is "email" or "client".
	Scope string
	// Limit is how many open holds one of them may have.
	Limit int
	// Until is when the first of them ends by itself, in UTC, by the database's clock: earlier where one is confirmed
	// or given back, later where it is extended.
	Until time.Time
}

// Error names the limit, and not who met it.
func (e *HoldLimitError) Error() string {
	whose := "one e-mail address"
	if e.Scope == clientScope {
		whose = "one client"
	}
	return fmt.Sprintf("too many open holds: %d for %s", e.Limit, whose)
}

// Unwrap makes errors.Is(err, [ErrTooManyHolds]) true.
func (e *HoldLimitError) Unwrap() error { return ErrTooManyHolds }

const (
	emailScope  = "email"
	clientScope = "client"
	// maxLimit bounds the limits: a hold looks at each number up to them.
	maxLimit = 1000
)

func limitProblem(name string, limit int) error {
	if limit < 0 || limit > maxLimit {
		return fmt.Errorf("%s must be between 0 and %d", name, maxLimit)
	}
	return nil
}

// limits are the arguments of numbersSQL.
func (s *Store) limits(req HoldRequest) []any {
	client := s.perClient
	if req.Client == "" {
		client = 0
	}
	return []any{strings.ToLower(req.Customer.Email), s.perEmail, req.Client, client}
}

// Each open hold of a key has one of the numbers 1 to its limit. A number may be taken when it has no row, or that of a
// booking which is no open hold any more: confirmed, given back, past its time, or never made. Of each limit that is
// asked for this finds one such number, at random, for the same reason as with units; and where there is none, when
// the first will be free.
//
// The snapshot cannot see who takes a number at the same time. So it is taken by naming what was seen in it: nothing,
// or the booking it was of, and whoever comes second gets no row. Both numbers are taken before the booking is made,
// and the booking only with both; everybody takes them in the same order, and no two attempts to hold have the same
// id, so that what was seen in a number cannot come back to it.
const (
	numbersSQL = `
    SELECT l.scope, l.key, l.allowed, n.number, n.replaces, n.until
    FROM (
        VALUES ('email', $20::text, $21::integer), ('client', $22::text, $23::integer)
    ) AS l(scope, key, allowed), LATERAL (
        SELECT g AS number, q.booking_id AS replaces, (
            SELECT b.hold_expires_at FROM booking_platform.bookings b
            WHERE b.id = q.booking_id AND b.status = 'pending' AND b.hold_expires_at > statement_timestamp()
        ) AS until
        FROM generate_series(1, l.allowed) AS g LEFT JOIN booking_platform.hold_quota q
          ON q.scope = l.scope AND q.key = l.key AND q.number = g
        ORDER BY until NULLS FIRST, random()
        LIMIT 1
    ) n
    WHERE l.allowed > 0`
	takeNumbersSQL = `
    INSERT INTO booking_platform.hold_quota AS q (scope, key, number, booking_id, replaces)
    SELECT n.scope, n.key, n.number, $1::uuid, n.replaces FROM numbers n, sold ORDER BY n.scope DESC
    ON CONFLICT (scope, key, number) DO UPDATE SET booking_id = EXCLUDED.booking_id, replaces = EXCLUDED.replaces
    WHERE q.booking_id = EXCLUDED.replaces
    RETURNING q.number`
)

// In the order in which numbers are taken.
const returnNumbersSQL = `
WITH lost AS MATERIALIZED (
    SELECT q.scope, q.key, q.number FROM booking_platform.hold_quota q
    WHERE q.booking_id IN (SELECT a::uuid FROM jsonb_array_elements_text($1::jsonb) AS a)
    ORDER BY q.scope DESC, q.key, q.number
    FOR UPDATE
)
DELETE FROM booking_platform.hold_quota d USING lost l WHERE d.scope = l.scope AND d.key = l.key AND d.number = l.number`

// returnNumbers gives back the numbers of attempts that got them and no booking. Should it not come to that, they are
// as free as before: their booking does not exist. So it waits a moment at most for who has just failed to get one of
// them; in a caller's transaction it has them locked already.
func (h *holder) returnNumbers(ctx context.Context) error {
	if len(h.lost) == 0 {
		return nil
	}
	// Ids can always be written.
	ids, _ := json.Marshal(h.lost)
	if h.caller == nil {
		bounded, cancel := context.WithTimeout(ctx, h.store.besideWait)
		defer cancel()
		ctx = bounded
	}
	err := h.run(ctx, func(q Querier) error {
		_, err := q.ExecContext(ctx, returnNumbersSQL, string(ids))
		return err
	})
	if err != nil {
		return fmt.Errorf("give back numbers: %w", err)
	}
	return nil
}
