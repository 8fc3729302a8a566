package booking

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrTooManyHolds tells that a customer or a client has as many open holds and upcoming
// free bookings already as [Options] allow; see [HoldLimitError].
var ErrTooManyHolds = errors.New("booking: too many open holds")

// HoldLimitError tells which limit of [Options] a request has met. The database has not
// changed.
type HoldLimitError struct {
	// Scope is [ScopeEmail], [ScopeAnywhere] or [ScopeClient].
	Scope string
	// Limit is the limit that was met.
	Limit int
	// Until is when the first of what is counted ends by itself, in UTC, by the
	// database's clock: a hold with its time, a free booking with its start. It is
	// earlier where one is paid for or given back, later where a hold is extended.
	Until time.Time
}

// The scopes of a [HoldLimitError].
const (
	// ScopeEmail is one e-mail address from one client: [Options.MaxHoldsPerEmail].
	ScopeEmail = "email"
	// ScopeAnywhere is one e-mail address from all clients together:
	// [Options.MaxHoldsPerEmailAnywhere].
	ScopeAnywhere = "anywhere"
	// ScopeClient is one client, whatever the e-mail addresses:
	// [Options.MaxHoldsPerClient].
	ScopeClient = "client"
)

// Error names the limit, and neither the address nor the client.
func (e *HoldLimitError) Error() string {
	of := "one e-mail address"
	switch e.Scope {
	case ScopeAnywhere:
		of = "one e-mail address from all clients"
	case ScopeClient:
		of = "one client"
	}
	return fmt.Sprintf("too many open holds: %d for %s", e.Limit, of)
}

// RetryAfter returns how long after now the limit may allow a request again: until Until,
// but at least a second, because the caller's clock need not be the database's, and at
// most an hour, because a hold may be given up before its time. Whole seconds.
func (e *HoldLimitError) RetryAfter(now time.Time) time.Duration {
	wait := (e.Until.Sub(now) + time.Second - 1).Truncate(time.Second)
	return min(max(wait, time.Second), time.Hour)
}

// Unwrap makes errors.Is(err, [ErrTooManyHolds]) true.
func (e *HoldLimitError) Unwrap() error { return ErrTooManyHolds }

// maxLimit bounds the limits: a hold looks at each number up to them.
const maxLimit = 1000

// holdLimits are the limits of Options; 0 is none.
type holdLimits struct{ email, anywhere, client int }

func newHoldLimits(opts Options) (holdLimits, error) {
	l := holdLimits{opts.MaxHoldsPerEmail, opts.MaxHoldsPerEmailAnywhere, opts.MaxHoldsPerClient}
	var errs []error
	for _, limit := range []struct {
		name string
		n    int
	}{
		{"MaxHoldsPerEmail", l.email}, {"MaxHoldsPerEmailAnywhere", l.anywhere}, {"MaxHoldsPerClient", l.client},
	} {
		if limit.n < 0 || limit.n > maxLimit {
			errs = append(errs, fmt.Errorf("%s must be between 0 and %d", limit.name, maxLimit))
		}
	}
	if l.anywhere > 0 && (l.email == 0 || l.anywhere < l.email) {
		errs = append(errs,
			errors.New("MaxHoldsPerEmailAnywhere must not be less than MaxHoldsPerEmail, which it needs"))
	}
	return l, errors.Join(errs...)
}

// customerKey is what limits and idempotency keys compare e-mail addresses as. Letter
// case is no difference; everything else is, since what a mail server makes of dots and
// plus signs is its own.
func customerKey(email string) string { return strings.ToLower(email) }

// quotaKey has a bounded length, and shows neither addresses nor clients. No part
// contains a control character.
func quotaKey(parts ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return sum[:]
}

// limits are the arguments $20 to $25 of holdSQL; the hash of the customer is the fifth.
func (s *Store) limits(req HoldRequest) []any {
	customer := customerKey(req.Customer.Email)
	client := s.holdLimits.client
	if req.Client == "" {
		client = 0
	}
	return []any{
		quotaKey(req.Client, customer), s.holdLimits.email, quotaKey(req.Client), client,
		quotaKey(customer), s.holdLimits.anywhere,
	}
}

// Each open hold, and each upcoming booking that cost nothing, has one of the numbers 1
// to the limit of each key that it counts for. A number may be taken when it has no row,
// or that of a booking which no longer counts: paid for, given back, past its time,
// begun, or never made. Of each limit this finds one such number, at random, for the same
// reason as with units; and where there is none, when the first will be free.
//
// The first number of an e-mail address from a client is taken before the others, and
// needs none of the address's numbers over all clients: what other clients hold in a
// customer's name cannot use up the customer's own first hold.
//
// The snapshot does not show who takes a number at the same time. So it is taken by
// naming what was seen in it: nothing, or the booking it was of, and of two statements
// the second gets no row. All numbers are taken before the booking is made, in one order
// of scopes, and the booking only with all of them. No two attempts to hold have the same
// id, so that what was seen in a number cannot come back to it.
const (
	numbersSQL = `
    SELECT f.scope, f.key, f.allowed, f.number, f.replaces, f.until
    FROM (
        SELECT l.scope, l.key, l.allowed, n.number, n.replaces, n.until,
               bool_or(l.scope = 'email' AND n.number = 1 AND n.until IS NULL) OVER () AS first
        FROM (
            VALUES ('email', $20::bytea, $21::integer), ('client', $22::bytea, $23::integer), ('anywhere', $24::bytea, $25::integer)
        ) AS l(scope, key, allowed), LATERAL (
            SELECT g AS number, q.booking_id AS replaces, (
                SELECT CASE b.status WHEN 'pending' THEN b.hold_expires_at ELSE lower(b.during) END
                FROM booking_platform.bookings b
                WHERE b.id = q.booking_id AND (` + countedSQL + `)
            ) AS until
            FROM generate_series(1, l.allowed) AS g LEFT JOIN booking_platform.hold_quota q
              ON q.scope = l.scope AND q.key = l.key AND q.number = g
            ORDER BY until NULLS FIRST, l.scope = 'email' AND g = 1 DESC, random()
            LIMIT 1
        ) n
        WHERE l.allowed > 0
    ) f
    WHERE NOT (f.scope = 'anywhere' AND f.first)`
	countedSQL = `b.status = 'pending' AND b.hold_expires_at > statement_timestamp() OR ` + freeSQL
	freeSQL    = `b.status = 'confirmed' AND b.kind = 'booking' AND b.amount_minor = 0 AND lower(b.during) > statement_timestamp()`

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

// returnNumbers gives back the numbers of attempts that took them and made no booking.
// Where it fails, they are as free as before: their booking does not exist. So it waits a
// short time at most for a statement that has just failed to take one of them; in a
// caller's transaction they are locked already.
func (h *holder) returnNumbers(ctx context.Context) error {
	if len(h.lost) == 0 {
		return nil
	}
	// Ids can always be written.
	ids, _ := json.Marshal(h.lost)
	if h.caller == nil {
		bounded, cancel := context.WithTimeout(ctx, h.store.sideTxTimeout)
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
