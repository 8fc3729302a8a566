package booking

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// ErrTooManyHolds means that a customer or a client has as many open holds and upcoming
// free bookings as [Options] allow, see [HoldLimitError].
var ErrTooManyHolds = errors.New("booking: too many open holds")

// HoldLimitError is the limit of [Options] that was reached. The database has not
// changed.
type HoldLimitError struct {
	Scope string
	Limit int
	// Until is when the first hold counted expires, or the first free booking begins, in
	// UTC by the database's clock. A payment or a release can make it earlier, an
	// extension later.
	Until time.Time
}

// The scopes of a [HoldLimitError].
const (
	// ScopeEmail: one e-mail address from one client, [Options.MaxHoldsPerEmail].
	ScopeEmail = "email"
	// ScopeAnywhere: one e-mail address from all clients,
	// [Options.MaxHoldsPerEmailAnywhere].
	ScopeAnywhere = "anywhere"
	// ScopeClient: one client with any e-mail addresses, [Options.MaxHoldsPerClient].
	ScopeClient = "client"
)

// Error names neither the address nor the client.
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

// RetryAfter returns how long after now a request may be allowed: until Until in whole
// seconds, but at least one, because the caller's clock need not be the database's, and
// at most an hour, because a hold may be given up early.
func (e *HoldLimitError) RetryAfter(now time.Time) time.Duration {
	wait := (e.Until.Sub(now) + time.Second - 1).Truncate(time.Second)
	return min(max(wait, time.Second), time.Hour)
}

func (e *HoldLimitError) Unwrap() error { return ErrTooManyHolds }

// maxLimit: a hold reads each number up to the limit.
const maxLimit = 1000

// holdLimits are those of Options; 0 is none.
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

// customerKey is how limits and idempotency keys compare e-mail addresses.
func customerKey(email string) string { return strings.ToLower(email) }

// quotaKey hashes parts without control characters, so that keys are short and reveal
// nothing.
func quotaKey(parts ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return sum[:]
}

// clientKey is how limits compare clients: an address without a port, in package netip's
// form, an IPv4 address mapped to IPv6 as IPv4. The zone stays: the same link-local
// address is another host in another zone.
func clientKey(client string) string {
	if at, err := netip.ParseAddrPort(client); err == nil {
		return at.Addr().Unmap().String()
	}
	if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(client, "["), "]")); err == nil {
		return addr.Unmap().String()
	}
	return client
}

func (s *Store) limitArgs(req HoldRequest) []any {
	customer, from := customerKey(req.Customer.Email), clientKey(req.Client)
	client := s.holdLimits.client
	if from == "" {
		client = 0
	}
	return []any{
		quotaKey(from, customer), s.holdLimits.email, quotaKey(from), client,
		quotaKey(customer), s.holdLimits.anywhere,
	}
}

// Each open hold, and each upcoming booking of amount 0, has one of the numbers 1 to the
// limit for each key it counts for. A number is free if it has no row, or that of a
// booking which does not count any more or was never made. For each limit numbersSQL
// finds a free number, at random as with units, or else when the first becomes free.
//
// The first number of an e-mail address from a client is taken first and needs none of
// the address over all clients, so that other clients' holds in a customer's name cannot
// prevent the customer's first hold.
//
// The snapshot does not show which numbers concurrent statements take. So a number is
// taken by naming what was seen in it, nothing or a booking, and the second of two
// statements gets no row. All numbers are taken before the booking, in one order of
// scopes. No two attempts have the same id, so that what was seen cannot return.
const (
	numbersSQL = `
    SELECT f.scope, f.key, f.allowed, f.number, f.replaces, f.until
    FROM (
        SELECT l.scope, l.key, l.allowed, n.number, n.replaces, n.until,
               bool_or(l.scope = 'email' AND n.number = 1 AND n.until IS NULL) OVER () AS first
        FROM (
            VALUES ('email', $20::bytea, $21::integer), ('client', $22::bytea, $23::integer),
                ('anywhere', $24::bytea, $25::integer)
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
	freeSQL    = `b.status = 'confirmed' AND b.kind = 'booking' AND b.amount_minor = 0
    AND lower(b.during) > statement_timestamp()`

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
DELETE FROM booking_platform.hold_quota d USING lost l WHERE d.scope = l.scope AND d.key = l.key
    AND d.number = l.number`

// returnNumbers deletes the numbers of attempts that made no booking. They are free all
// the same if it fails, so it waits only briefly for their locks; in a caller's
// transaction it has them.
func (h *holder) returnNumbers(ctx context.Context) error {
	if len(h.lost) == 0 {
		return nil
	}
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
		return fmt.Errorf("return numbers: %w", err)
	}
	return nil
}
