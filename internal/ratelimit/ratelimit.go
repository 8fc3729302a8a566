// Package ratelimit counts attempts against budgets in Postgres, exactly, for any number
// of replicas: logins of package auth, and the host's bookings. The table is in the
// migration set Auth.
package ratelimit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Rate is a budget's size and refill interval.
type Rate struct {
	// Burst is a full budget, at least 1.
	Burst int
	// Every is the time until one more attempt.
	Every time.Duration
}

// Budget is one budget. Its key comes from [Key].
type Budget struct {
	Key  string
	Rate Rate
}

// Choice is budgets of which an attempt takes from the first that is not empty.
type Choice []Budget

// Key is an HMAC in hexadecimal, so that the table reveals neither addresses nor
// accounts. Different lists of parts have different keys.
func Key(secret []byte, parts ...string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("booking-platform/limit"))
	for _, part := range parts {
		mac.Write([]byte("\x00" + strconv.Itoa(len(part)) + "\x00" + part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// The generic cell rate algorithm: full_at is when a budget is full again; an attempt
// adds every to it, and is allowed if the sum is at most every * burst ahead. Rows are
// locked in the order of their keys, against deadlocks, and judged together: a refused
// attempt changes nothing. A missing row is a full budget; if the attempt has to take
// from it, its key is returned for putBudgets. A full_at further ahead (the clock was set
// back, the rate changed) is an empty budget.
const takeBudgets = `
WITH asked AS (
    SELECT choice, place, decode(h, 'hex') AS key, make_interval(secs => secs::float8) AS every, burst::integer AS burst
    FROM unnest(string_to_array($1::text, ','), string_to_array($2::text, ','),
            string_to_array($3::text, ','), string_to_array($4::text, ','))
        WITH ORDINALITY AS t (choice, h, secs, burst, place)
), held AS MATERIALIZED (
    SELECT l.key, l.full_at
    FROM booking_platform.rate_limits l
    WHERE l.key = ANY (ARRAY(SELECT a.key FROM asked a))
    ORDER BY l.key
    FOR UPDATE
), budget AS (
    SELECT a.choice, a.place, a.key, a.every, a.burst, h.key IS NULL AS missing,
           LEAST(GREATEST(h.full_at, statement_timestamp()), statement_timestamp() + a.every * a.burst) AS full_at
    FROM asked a LEFT JOIN held h ON h.key = a.key
), judged AS (
    SELECT choice, place, key, missing, full_at + every AS full_at,
           full_at - statement_timestamp() - every * (burst - 1) AS wait
    FROM budget
), verdict AS (
    SELECT max(c.wait) AS wait FROM (SELECT min(j.wait) AS wait FROM judged j GROUP BY j.choice) c
), due AS MATERIALIZED (
    SELECT DISTINCT ON (j.choice) j.key, j.full_at, j.missing
    FROM judged j, verdict v
    WHERE v.wait <= interval '0' AND j.wait <= interval '0'
    ORDER BY j.choice, j.place
), taken AS (
    UPDATE booking_platform.rate_limits l
    SET full_at = d.full_at
    FROM due d
    WHERE l.key = d.key AND NOT EXISTS (SELECT 1 FROM due m WHERE m.missing)
)
SELECT EXTRACT(epoch FROM v.wait)::float8,
       COALESCE((SELECT string_agg(encode(m.key, 'hex'), ',') FROM due m WHERE m.missing), '')
FROM verdict v`

// In the same order. An existing row becomes recent, against DeleteFull.
const putBudgets = `
INSERT INTO booking_platform.rate_limits AS l (key, full_at)
SELECT k.key, statement_timestamp()
FROM (SELECT decode(h, 'hex') AS key FROM unnest(string_to_array($1::text, ',')) AS h) k
ORDER BY k.key
ON CONFLICT (key) DO UPDATE SET full_at = GREATEST(l.full_at, EXCLUDED.full_at)`

type answer struct {
	seconds float64
	missing string
}

// Take takes one attempt from one budget of each choice and returns 0. If a choice is
// empty it takes nothing, and returns how long to wait in whole seconds. After an error
// the attempt must be refused. One round trip; three for a budget that was not used
// lately. Safe on every replica.
func Take(ctx context.Context, db *sql.DB, choices ...Choice) (wait time.Duration, err error) {
	args := arguments(choices)
	// Again if another attempt has emptied a choice's first budget.
	for range 2 + 2*len(choices) {
		a, err := pg.Autocommit(ctx, db, func(ctx context.Context, q pg.Querier) (a answer, err error) {
			err = q.QueryRowContext(ctx, takeBudgets, args...).Scan(&a.seconds, &a.missing)
			return a, err
		})
		if err != nil {
			return 0, err
		}
		if a.seconds > 0 {
			return time.Duration(math.Ceil(a.seconds)) * time.Second, nil
		}
		if a.missing == "" {
			return 0, nil
		}
		if _, err := pg.Exec(ctx, db, putBudgets, a.missing); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the budgets are deleted as they are inserted")
}

func arguments(choices []Choice) []any {
	var choice, keys, every, burst []string
	for n, budgets := range choices {
		for _, b := range budgets {
			choice, keys = append(choice, strconv.Itoa(n)), append(keys, b.Key)
			every = append(every, strconv.FormatFloat(b.Rate.Every.Seconds(), 'f', -1, 64))
			burst = append(burst, strconv.Itoa(b.Rate.Burst))
		}
	}
	return []any{strings.Join(choice, ","), strings.Join(keys, ","), strings.Join(every, ","), strings.Join(burst, ",")}
}

// The minute keeps rows that putBudgets has just inserted.
const deleteFull = `
DELETE FROM booking_platform.rate_limits
WHERE key = ANY (ARRAY(
    SELECT key
    FROM booking_platform.rate_limits
    WHERE full_at < statement_timestamp() - interval '1 minute'
    LIMIT 10000
    FOR UPDATE SKIP LOCKED))`

// DeleteFull deletes up to 100,000 full budgets, which mean nothing any more, in batches
// of 10,000, and returns how many. Safe on every replica.
func DeleteFull(ctx context.Context, db *sql.DB) (total int, err error) {
	for range 10 {
		var n int64
		result, err := pg.Exec(ctx, db, deleteFull)
		if err == nil {
			n, err = result.RowsAffected()
		}
		if total += int(n); err != nil || n < 10_000 {
			return total, err
		}
	}
	return total, nil
}

var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

// Network is what limits count clients by: an IPv4 address, or the /64 of an IPv6 one,
// which one client has. IPv6 addresses that contain an IPv4 address (mapped, NAT64 of RFC
// 6052, 6to4 of RFC 3056) count as that: all clients behind a NAT64 share a /64, and a
// 6to4 client has 65,536. Other text is returned unchanged.
func Network(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	addr = addr.WithZone("").Unmap()
	if addr.Is4() {
		return addr.String()
	}
	bytes := addr.As16()
	switch {
	case nat64.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[12:])).String()
	case sixTo4.Contains(addr):
		return netip.AddrFrom4([4]byte(bytes[2:6])).String()
	}
	prefix, _ := addr.Prefix(64) // An IPv6 address has 64 bits.
	return prefix.String()
}
