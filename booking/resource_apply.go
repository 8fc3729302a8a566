package booking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// ApplyOptions configure [Store.ApplyResource].
type ApplyOptions struct {
	// DryRun reports what would change or be refused, without writing or locking
	// anything.
	DryRun bool
}

// Applied is the result of [Store.ApplyResource].
type Applied struct {
	// Resource is the resource as stored, or as it would be after a dry run.
	Resource Resource
	// Created means that there was none with this slug.
	Created bool
	// Changes are the fields that changed, in the order of [Resource]; none if it was
	// created.
	Changes []FieldChange
}

// ApplyResource creates the resource with this slug, or changes every field that differs.
// Fields left out get their defaults, not their previous values. Applying the result of
// [Store.Resource] changes nothing. ID, CreatedAt and UpdatedAt are ignored.
//
// Bookings keep their times and prices. Once ApplyResource has returned, no replica sells
// by the old rules: it waits for holds under way, and they for it. Concurrent calls for
// one slug are serialized.
//
// A smaller capacity moves bookings to the remaining units. If more is sold at some
// instant from now on, by the database's clock, the error is a [*CapacityError]. Expired
// holds are released.
//
// A [*ValidationError] lists the invalid fields. One transaction of three statements,
// four to six with a smaller capacity.
func (s *Store) ApplyResource(ctx context.Context, r Resource, opts ApplyOptions) (Applied, error) {
	r = r.withDefaults()
	if err := r.check().err(); err != nil {
		return Applied{}, wrap(ctx, "apply resource", err)
	}
	if opts.DryRun {
		var out Applied
		err := s.read(ctx, func(q Querier) (err error) {
			out, err = planResource(ctx, q, r)
			return err
		})
		return out, wrap(ctx, "apply resource", err)
	}
	out, err := s.applyResource(ctx, r)
	return out, wrap(ctx, "apply resource", err)
}

func (s *Store) applyResource(ctx context.Context, r Resource) (Applied, error) {
	var out Applied
	for n := 0; ; n++ {
		var stored *rules
		err := s.transact(ctx, func(q Querier) (err error) {
			stored, out, err = applyLocked(ctx, q, r)
			return err
		})
		var lapsed *lapsedError
		switch {
		case err == nil:
			s.cache.put(stored)
			out.Resource = stored.copy()
			return out, nil
		case errors.As(err, &lapsed) && n < maxAttempts:
			// Outside of the transaction, so that nothing is locked while waiting for a
			// booking.
			if err := s.releaseExpiredIn(ctx, lapsed.resource, lapsed.from, lapsed.to); err != nil {
				return Applied{}, err
			}
		case IsRetryable(err) && n < maxRetries:
			s.log.DebugContext(ctx, "booking: run again", "sqlstate", pg.SQLState(err), "run", n+1)
		default:
			return Applied{}, err
		}
	}
}

func planResource(ctx context.Context, q Querier, r Resource) (Applied, error) {
	old, err := readRules(ctx, q, r.Slug)
	if errors.Is(err, ErrNotFound) {
		return Applied{Resource: r, Created: true}, nil
	}
	if err != nil {
		return Applied{}, err
	}
	if r.Capacity < old.Capacity {
		if err := checkCapacity(ctx, q, old.ID, r.Capacity, old.clock); err != nil {
			return Applied{}, err
		}
	}
	r.ID, r.CreatedAt, r.UpdatedAt = old.ID, old.CreatedAt, old.UpdatedAt
	return Applied{Resource: r, Changes: fieldChanges(old.Resource, r)}, nil
}

// FOR UPDATE waits for holds under way and keeps later ones waiting. The rules are in
// other tables too: the statement after the lock sees them as they are.
const lockResourceSQL = `
SELECT r.id::text AS id FROM booking_platform.resources r WHERE r.slug = $1::text FOR UPDATE`

func applyLocked(ctx context.Context, q Querier, r Resource) (*rules, Applied, error) {
	type row struct {
		ID string `db:"id"`
	}
	locked, found, err := selectOne[row](ctx, q, lockResourceSQL, r.Slug)
	if err != nil {
		return nil, Applied{}, err
	}
	if !found {
		id, created, err := insertResource(ctx, q, r)
		if err == nil && !created {
			err = fmt.Errorf("another one was created meanwhile: %w", errRetry)
		}
		if err != nil {
			return nil, Applied{}, err
		}
		stored, err := readRules(ctx, q, id)
		return stored, Applied{Created: true}, err
	}
	old, err := readRules(ctx, q, locked.ID)
	if err != nil {
		return nil, Applied{}, err
	}
	changed := fieldChanges(old.Resource, r)
	if len(changed) == 0 {
		return old, Applied{}, nil
	}
	if r.Capacity < old.Capacity {
		if err := lowerCapacity(ctx, q, old.ID, r.Capacity, old.clock); err != nil {
			return nil, Applied{}, err
		}
	}
	if err := updateResource(ctx, q, old.ID, r); err != nil {
		return nil, Applied{}, err
	}
	stored, err := readRules(ctx, q, old.ID)
	return stored, Applied{Changes: changed}, err
}

// Rows that stay are not touched, and none is deleted and inserted again. Triggers renew
// the version.
const updateResourceSQL = `
WITH resource AS (
    UPDATE booking_platform.resources r SET
        name = $2::text, description = $3::text, time_zone = $4::text, capacity = $5::integer,
        slot_seconds = $6::integer,
        step_seconds = $7::integer, buffer_before_seconds = $8::integer, buffer_after_seconds = $9::integer,
        notice_seconds = $10::integer, horizon_seconds = $11::integer, hold_seconds = $12::integer,
        price_minor = $13::bigint,
        currency = $14::text, hold_cap_seconds = $15::integer, policy = $16::jsonb, active = $17::boolean
    WHERE r.id = $1::uuid
), hours AS MATERIALIZED (
    SELECT h.weekday, h.opens, h.closes
    FROM jsonb_to_recordset($18::jsonb) AS h(weekday smallint, opens integer, closes integer)
), hours_gone AS (
    DELETE FROM booking_platform.opening_hours o
    WHERE o.resource_id = $1::uuid
      AND NOT EXISTS (SELECT FROM hours h WHERE h.weekday = o.weekday AND h.opens = o.opens_minute)
), hours_set AS (
    INSERT INTO booking_platform.opening_hours AS o (resource_id, weekday, opens_minute, closes_minute)
    SELECT $1::uuid, h.weekday, h.opens, h.closes FROM hours h
    ON CONFLICT (resource_id, weekday, opens_minute) DO UPDATE SET closes_minute = EXCLUDED.closes_minute
    WHERE o.closes_minute <> EXCLUDED.closes_minute
), dates AS MATERIALIZED (
    SELECT e.date, e.opens, e.closes FROM jsonb_to_recordset($19::jsonb) AS e(date date, opens integer, closes integer)
), dates_gone AS (
    DELETE FROM booking_platform.opening_exceptions o
    WHERE o.resource_id = $1::uuid
      AND NOT EXISTS (SELECT FROM dates e WHERE e.date = o.on_date AND e.opens = o.opens_minute)
), dates_set AS (
    INSERT INTO booking_platform.opening_exceptions AS o (resource_id, on_date, opens_minute, closes_minute)
    SELECT $1::uuid, e.date, e.opens, e.closes FROM dates e
    ON CONFLICT (resource_id, on_date, opens_minute) DO UPDATE SET closes_minute = EXCLUDED.closes_minute
    WHERE o.closes_minute <> EXCLUDED.closes_minute
), sold AS MATERIALIZED (
    SELECT o.slug, o.name, o.position, o.length, o.step, o.before, o.after, o.price, o.active
    FROM jsonb_to_recordset($20::jsonb) AS o(
        slug text, name text, position integer, length integer, step integer, before integer, after integer,
        price bigint, active boolean
    )
), offers_gone AS (
    DELETE FROM booking_platform.offers o
    WHERE o.resource_id = $1::uuid AND NOT EXISTS (SELECT FROM sold s WHERE s.slug = o.slug)
)
INSERT INTO booking_platform.offers AS o (
    resource_id, slug, name, position, slot_seconds, step_seconds, buffer_before_seconds, buffer_after_seconds,
    price_minor, active
)
SELECT $1::uuid, s.slug, s.name, s.position, s.length, s.step, s.before, s.after, s.price, s.active FROM sold s
ON CONFLICT (resource_id, slug) DO UPDATE SET
    name = EXCLUDED.name, position = EXCLUDED.position, slot_seconds = EXCLUDED.slot_seconds,
    step_seconds = EXCLUDED.step_seconds,
    buffer_before_seconds = EXCLUDED.buffer_before_seconds, buffer_after_seconds = EXCLUDED.buffer_after_seconds,
    price_minor = EXCLUDED.price_minor, active = EXCLUDED.active
WHERE (o.name, o.position, o.slot_seconds, o.step_seconds, o.buffer_before_seconds, o.buffer_after_seconds,
    o.price_minor, o.active)
    IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.position, EXCLUDED.slot_seconds, EXCLUDED.step_seconds,
        EXCLUDED.buffer_before_seconds,
        EXCLUDED.buffer_after_seconds, EXCLUDED.price_minor, EXCLUDED.active)`

func updateResource(ctx context.Context, q Querier, id string, r Resource) error {
	hours, exceptions, offers, policy := r.json()
	_, err := q.ExecContext(ctx, updateResourceSQL,
		id, r.Name, r.Description, r.TimeZone, r.Capacity, seconds(r.SlotLength), seconds(r.SlotStep),
		seconds(r.BufferBefore),
		seconds(r.BufferAfter), seconds(r.Notice), seconds(r.Horizon), seconds(r.HoldFor), r.Price.Minor,
		strings.ToLower(r.Price.Currency), seconds(r.HoldCap), policy, !r.Inactive, hours, exceptions, offers)
	return err
}

// FieldChange is a field that [Store.ApplyResource] changes, as text for display.
type FieldChange struct {
	// Field is named as in [ValidationError], with a part if it has parts: "price",
	// "policy.freeUntil", "hours.mon", "exceptions.2026-12-25", "offers.long.price".
	// "offers" alone is their order.
	Field string
	// From and To are the values before and after: "25.00 EUR", "1h30m", "9:00-12:30,
	// 14:00-18:00"; "" for none.
	From, To string
}

// fieldChanges compares two resources with defaults, in the order of the fields.
func fieldChanges(from, to Resource) []FieldChange {
	was, is := from.fields(), to.fields()
	old, seen := map[string]string{}, map[string]bool{}
	for _, f := range was {
		old[f.name] = f.value
	}
	var out []FieldChange
	for _, f := range is {
		seen[f.name] = true
		if old[f.name] != f.value {
			out = append(out, FieldChange{Field: f.name, From: old[f.name], To: f.value})
		}
	}
	for _, f := range was {
		if !seen[f.name] && f.value != "" {
			out = append(out, FieldChange{Field: f.name, From: f.value})
		}
	}
	return out
}

// field is a part of a resource as text. Resources with equal fields are equal.
type field struct{ name, value string }

func (r Resource) fields() []field {
	out := []field{
		{"name", r.Name}, {"description", r.Description}, {"timeZone", r.TimeZone},
		{"capacity", strconv.Itoa(r.Capacity)},
		{"slotLength", formatDuration(r.SlotLength)}, {"slotStep", formatDuration(r.SlotStep)},
		{"bufferBefore", formatDuration(r.BufferBefore)}, {"bufferAfter", formatDuration(r.BufferAfter)},
		{"notice", formatDuration(r.Notice)}, {"horizon", formatDuration(r.Horizon)},
		{"holdFor", formatDuration(r.HoldFor)}, {"holdCap", formatDuration(r.HoldCap)}, {"price", r.Price.String()},
		{"policy.never", formatBool(r.Policy.Never)}, {"policy.freeUntil", formatDuration(r.Policy.FreeUntil)},
		{"policy.closedFrom", formatDuration(r.Policy.ClosedFrom)},
		{"policy.feePercent", strconv.Itoa(r.Policy.FeePercent) + "%"},
		{"policy.fee", Money{Minor: r.Policy.FeeMinor, Currency: r.Price.Currency}.String()},
		{"active", formatBool(!r.Inactive)},
	}
	for n := range 7 {
		// Monday first.
		weekday := time.Weekday((n + 1) % 7)
		out = append(out, field{"hours." + strings.ToLower(weekday.String()[:3]), r.hoursOf(weekday)})
	}
	for _, e := range slices.SortedFunc(slices.Values(r.Exceptions),
		func(a, b Exception) int { return cmp.Compare(a.Date.midnight(), b.Date.midnight()) }) {
		out = append(out, field{"exceptions." + e.Date.String(), formatHours(e.Hours, "closed")})
	}
	var order []string
	for _, o := range r.Offers {
		order = append(order, o.Slug)
		of := func(name, value string) { out = append(out, field{"offers." + o.Slug + "." + name, value}) }
		of("name", o.Name)
		of("slotLength", formatDuration(o.SlotLength))
		of("slotStep", formatDuration(o.SlotStep))
		of("bufferBefore", formatDuration(o.BufferBefore))
		of("bufferAfter", formatDuration(o.BufferAfter))
		of("price", o.Price.String())
		of("active", formatBool(!o.Inactive))
	}
	return append(out, field{"offers", strings.Join(order, ", ")})
}

func (r Resource) hoursOf(weekday time.Weekday) string {
	if len(r.Hours) == 0 {
		return "around the clock"
	}
	var hours []Interval
	for _, h := range r.Hours {
		if h.Weekday == weekday {
			hours = append(hours, Interval{Opens: h.Opens, Closes: h.Closes})
		}
	}
	return formatHours(hours, "closed")
}

func formatHours(hours []Interval, none string) string {
	if len(hours) == 0 {
		return none
	}
	var out []string
	for _, h := range slices.SortedFunc(slices.Values(hours),
		func(a, b Interval) int { return cmp.Compare(a.Opens, b.Opens) }) {
		out = append(out, fmt.Sprint(h))
	}
	return strings.Join(out, ", ")
}

func formatBool(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
