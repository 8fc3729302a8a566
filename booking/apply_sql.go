package booking

import (
	"context"
	"strings"
)

// One statement. Rows that stay are not touched, and none is deleted and inserted again:
// within a statement the one does not see the other. The triggers of the tables renew the
// version.
const updateResourceSQL = `
WITH resource AS (
    UPDATE booking_platform.resources r SET
        name = $2::text, description = $3::text, time_zone = $4::text, capacity = $5::integer, slot_seconds = $6::integer,
        step_seconds = $7::integer, buffer_before_seconds = $8::integer, buffer_after_seconds = $9::integer,
        notice_seconds = $10::integer, horizon_seconds = $11::integer, hold_seconds = $12::integer, price_minor = $13::bigint,
        currency = $14::text, hold_cap_seconds = $15::integer, policy = $16::jsonb, active = $17::boolean
    WHERE r.id = $1::uuid
), hours AS MATERIALIZED (
    SELECT h.weekday, h.opens, h.closes FROM jsonb_to_recordset($18::jsonb) AS h(weekday smallint, opens integer, closes integer)
), hours_gone AS (
    DELETE FROM booking_platform.opening_hours o
    WHERE o.resource_id = $1::uuid AND NOT EXISTS (SELECT FROM hours h WHERE h.weekday = o.weekday AND h.opens = o.opens_minute)
), hours_set AS (
    INSERT INTO booking_platform.opening_hours AS o (resource_id, weekday, opens_minute, closes_minute)
    SELECT $1::uuid, h.weekday, h.opens, h.closes FROM hours h
    ON CONFLICT (resource_id, weekday, opens_minute) DO UPDATE SET closes_minute = EXCLUDED.closes_minute
    WHERE o.closes_minute <> EXCLUDED.closes_minute
), dates AS MATERIALIZED (
    SELECT e.date, e.opens, e.closes FROM jsonb_to_recordset($19::jsonb) AS e(date date, opens integer, closes integer)
), dates_gone AS (
    DELETE FROM booking_platform.opening_exceptions o
    WHERE o.resource_id = $1::uuid AND NOT EXISTS (SELECT FROM dates e WHERE e.date = o.on_date AND e.opens = o.opens_minute)
), dates_set AS (
    INSERT INTO booking_platform.opening_exceptions AS o (resource_id, on_date, opens_minute, closes_minute)
    SELECT $1::uuid, e.date, e.opens, e.closes FROM dates e
    ON CONFLICT (resource_id, on_date, opens_minute) DO UPDATE SET closes_minute = EXCLUDED.closes_minute
    WHERE o.closes_minute <> EXCLUDED.closes_minute
), sold AS MATERIALIZED (
    SELECT o.slug, o.name, o.position, o.length, o.step, o.before, o.after, o.price, o.active
    FROM jsonb_to_recordset($20::jsonb) AS o(
        slug text, name text, position integer, length integer, step integer, before integer, after integer, price bigint, active boolean
    )
), offers_gone AS (
    DELETE FROM booking_platform.offers o WHERE o.resource_id = $1::uuid AND NOT EXISTS (SELECT FROM sold s WHERE s.slug = o.slug)
)
INSERT INTO booking_platform.offers AS o (
    resource_id, slug, name, position, slot_seconds, step_seconds, buffer_before_seconds, buffer_after_seconds, price_minor, active
)
SELECT $1::uuid, s.slug, s.name, s.position, s.length, s.step, s.before, s.after, s.price, s.active FROM sold s
ON CONFLICT (resource_id, slug) DO UPDATE SET
    name = EXCLUDED.name, position = EXCLUDED.position, slot_seconds = EXCLUDED.slot_seconds, step_seconds = EXCLUDED.step_seconds,
    buffer_before_seconds = EXCLUDED.buffer_before_seconds, buffer_after_seconds = EXCLUDED.buffer_after_seconds,
    price_minor = EXCLUDED.price_minor, active = EXCLUDED.active
WHERE (o.name, o.position, o.slot_seconds, o.step_seconds, o.buffer_before_seconds, o.buffer_after_seconds, o.price_minor, o.active)
    IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.position, EXCLUDED.slot_seconds, EXCLUDED.step_seconds, EXCLUDED.buffer_before_seconds,
        EXCLUDED.buffer_after_seconds, EXCLUDED.price_minor, EXCLUDED.active)`

func updateResource(ctx context.Context, q Querier, id string, r Resource) error {
	hours, exceptions, offers, policy := r.json()
	_, err := q.ExecContext(ctx, updateResourceSQL,
		id, r.Name, r.Description, r.TimeZone, r.Capacity, seconds(r.SlotLength), seconds(r.SlotStep),
		seconds(r.BufferBefore),
		seconds(r.BufferAfter), seconds(r.Notice), seconds(r.Horizon), seconds(r.HoldFor), r.Price.Minor,
		strings.ToLower(r.Price.Currency), seconds(r.HoldCap), policy, r.Active, hours, exceptions, offers)
	return err
}
