package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// budget is one budget that an attempt to log in may take from.
type budget struct {
	part string // own, shared or network
	key  string // Hex.
	rate Rate
}

// admit takes one attempt from the budgets that it belongs to, or returns *LimitError. browser is what [deviceCookie.of] found.
func (a *Auth) admit(ctx context.Context, r *http.Request, account string, browser []byte) error {
	if a.limits.Off {
		return nil
	}
	var budgets []budget
	if browser != nil {
		budgets = []budget{{"own", a.limitKey("browser", string(browser), account), a.limits.Browser}}
	} else {
		network := a.clientAddress(r)
		budgets = []budget{
			{"own", a.limitKey("own", network, account), a.limits.Own},
			{"shared", a.limitKey("shared", account), a.limits.Shared},
			{"network", a.limitKey("network", network), a.limits.Network},
		}
	}
	wait, err := take(ctx, a.db, budgets)
	if err != nil {
		return fmt.Errorf("auth: count the attempt: %w", err)
	}
	if wait > 0 {
		return &LimitError{RetryAfter: wait}
	}
	return nil
}

// limitKey hides what is limited. An account holds no control characters, so that two lists of parts never give one text.
func (a *Auth) limitKey(parts ...string) string {
	mac := hmac.New(sha256.New, a.keys[0])
	mac.Write([]byte("booking-platform/limit\x00" + strings.Join(parts, "\x00")))
	return hex.EncodeToString(mac.Sum(nil))
}

// networkOf is the network that the connection comes from: an IPv4 address, or the /64 of an IPv6 address, because whoever has one has all of it.
func networkOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // An IPv6 address has 64 bits.
	return prefix.String()
}

// The generic cell rate algorithm. full_at is when a budget is full again; an attempt moves it on by every, and may do so as long as it then lies no
// more than every * burst ahead. The rows are locked in the order of their keys, whatever order they are asked in, so that two attempts never wait for
// each other. They are judged together and taken from together: an attempt that is refused changes nothing. A missing row is a full budget and is judged as one;
// where it would have to be taken from, its key is returned, nothing is taken, and it is put there by putBudgets first. A full_at further ahead
// than a budget can be, from a clock that has been set back say, counts as an empty budget, so that nobody waits longer than every.
const takeBudgets = `
WITH asked AS (
    SELECT part, decode(h, 'hex') AS key, make_interval(secs => secs::float8) AS every, burst::integer AS burst
    FROM unnest(string_to_array($1::text, ','), string_to_array($2::text, ','), string_to_array($3::text, ','), string_to_array($4::text, ','))
        AS t (part, h, secs, burst)
), held AS MATERIALIZED (
    SELECT l.key, l.full_at
    FROM booking_platform.rate_limits l
    WHERE l.key = ANY (ARRAY(SELECT a.key FROM asked a))
    ORDER BY l.key
    FOR UPDATE
), budget AS (
    SELECT a.part, a.key, a.every, a.burst, h.key IS NULL AS missing,
           LEAST(GREATEST(h.full_at, statement_timestamp()), statement_timestamp() + a.every * a.burst) AS full_at
    FROM asked a LEFT JOIN held h ON h.key = a.key
), judged AS (
    SELECT part, full_at - statement_timestamp() - every * (burst - 1) AS wait FROM budget
), verdict AS (
    SELECT GREATEST(max(wait) FILTER (WHERE part = 'network'),
                    LEAST(max(wait) FILTER (WHERE part = 'own'), max(wait) FILTER (WHERE part = 'shared'))) AS wait,
           max(wait) FILTER (WHERE part = 'own') <= interval '0' AS own
    FROM judged
), due AS MATERIALIZED (
    SELECT b.key, b.full_at + b.every AS full_at, b.missing
    FROM budget b, verdict v
    WHERE v.wait <= interval '0' AND b.part IN ('network', CASE WHEN v.own THEN 'own' ELSE 'shared' END)
), taken AS (
    UPDATE booking_platform.rate_limits l
    SET full_at = d.full_at
    FROM due d
    WHERE l.key = d.key AND NOT EXISTS (SELECT 1 FROM due m WHERE m.missing)
)
SELECT EXTRACT(epoch FROM v.wait)::float8, COALESCE((SELECT string_agg(encode(m.key, 'hex'), ',') FROM due m WHERE m.missing), '')
FROM verdict v`

// Sorted like the locks above. What is there already is made as old as now, so that it is not swept away before it is taken from.
const putBudgets = `
INSERT INTO booking_platform.rate_limits AS l (key, full_at)
SELECT k.key, statement_timestamp()
FROM (SELECT decode(h, 'hex') AS key FROM unnest(string_to_array($1::text, ',')) AS h) k
ORDER BY k.key
ON CONFLICT (key) DO UPDATE SET full_at = GREATEST(l.full_at, EXCLUDED.full_at)`

// take takes one attempt from the budgets that are due, or returns how long to wait, in whole seconds. One round trip; three where a budget has not been
// used for long.
func take(ctx context.Context, db *sql.DB, budgets []budget) (time.Duration, error) {
	var parts, keys, every, burst []string
	for _, b := range budgets {
		parts, keys = append(parts, b.part), append(keys, b.key)
		every = append(every, strconv.FormatFloat(b.rate.Every.Seconds(), 'f', -1, 64))
		burst = append(burst, strconv.Itoa(b.rate.Burst))
	}
	args := []any{strings.Join(parts, ","), strings.Join(keys, ","), strings.Join(every, ","), strings.Join(burst, ",")}
	// What is missing is put there once, and a second time where somebody else emptied Own in between and Shared is due instead.
	for range 4 {
		var seconds float64
		var missing string
		err := runAlone(ctx, db, func(q Querier) error { return q.QueryRowContext(ctx, takeBudgets, args...).Scan(&seconds, &missing) })
		if err != nil {
			return 0, err
		}
		if seconds > 0 {
			return time.Duration(math.Ceil(seconds)) * time.Second, nil
		}
		if missing == "" {
			return 0, nil
		}
		if _, err := execAlone(ctx, db, putBudgets, missing); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("the budgets vanish as they are put there")
}

// A minute's grace keeps what has just been put there. SKIP LOCKED makes replicas share the work.
const deleteFull = `
DELETE FROM booking_platform.rate_limits
WHERE key = ANY (ARRAY(
    SELECT key
    FROM booking_platform.rate_limits
    WHERE full_at < statement_timestamp() - interval '1 minute'
    LIMIT 10000
    FOR UPDATE SKIP LOCKED))`

// deleteFullBudgets clears away up to 100,000 budgets that are full again, in batches.
func (a *Auth) deleteFullBudgets(ctx context.Context) (total int, err error) {
	for range 10 {
		n, err := affected(execAlone(ctx, a.db, deleteFull))
		if total += n; err != nil || n < 10_000 {
			return total, err
		}
	}
	return total, nil
}
