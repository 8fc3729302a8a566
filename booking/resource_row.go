package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

const resourceColumns = `
    r.id::text AS id, r.slug, r.name, r.description, r.time_zone, r.capacity, r.slot_seconds, r.step_seconds,
    r.buffer_before_seconds, r.buffer_after_seconds, r.notice_seconds, r.horizon_seconds, r.hold_seconds, r.price_minor,
    r.currency, r.active, r.version::text AS version, r.created_at, r.updated_at, statement_timestamp() AS clock,
    COALESCE((
        SELECT jsonb_agg(
            jsonb_build_object('weekday', h.weekday, 'opens', h.opens_minute, 'closes', h.closes_minute)
            ORDER BY h.weekday, h.opens_minute
        )
        FROM booking_platform.opening_hours h WHERE h.resource_id = r.id
    ), '[]')::text AS hours
FROM booking_platform.resources r`

const (
	resourceByIDSQL   = `SELECT` + resourceColumns + ` WHERE r.id = $1::uuid`
	resourceBySlugSQL = `SELECT` + resourceColumns + ` WHERE r.slug = $1::text`
	listResourcesSQL  = `SELECT` + resourceColumns + ` WHERE r.active ORDER BY r.name, r.id`
)

type resourceRow struct {
	ID           string    `db:"id"`
	Slug         string    `db:"slug"`
	Name         string    `db:"name"`
	Description  string    `db:"description"`
	TimeZone     string    `db:"time_zone"`
	Capacity     int       `db:"capacity"`
	SlotLength   int64     `db:"slot_seconds"`
	SlotStep     int64     `db:"step_seconds"`
	BufferBefore int64     `db:"buffer_before_seconds"`
	BufferAfter  int64     `db:"buffer_after_seconds"`
	Notice       int64     `db:"notice_seconds"`
	Horizon      int64     `db:"horizon_seconds"`
	HoldFor      int64     `db:"hold_seconds"`
	PriceMinor   int64     `db:"price_minor"`
	Currency     string    `db:"currency"`
	Active       bool      `db:"active"`
	Version      string    `db:"version"`
	CreatedAt    time.Time `db:"created_at"`
	UpdatedAt    time.Time `db:"updated_at"`
	Clock        time.Time `db:"clock"`
	Hours        string    `db:"hours"`
}

type hoursRow struct {
	Weekday int `json:"weekday"`
	Opens   int `json:"opens"`
	Closes  int `json:"closes"`
}

func (row resourceRow) resource() (Resource, error) {
	var rows []hoursRow
	if err := json.Unmarshal([]byte(row.Hours), &rows); err != nil {
		return Resource{}, fmt.Errorf("read opening hours of %s: %w", row.Slug, err)
	}
	var hours []Hours
	for _, h := range rows {
		hours = append(hours, Hours{Weekday: time.Weekday(h.Weekday), Opens: h.Opens, Closes: h.Closes})
	}
	return Resource{
		ID: row.ID, Slug: row.Slug, Name: row.Name, Description: row.Description, TimeZone: row.TimeZone, Capacity: row.Capacity,
		SlotLength: duration(row.SlotLength), SlotStep: duration(row.SlotStep),
		BufferBefore: duration(row.BufferBefore), BufferAfter: duration(row.BufferAfter),
		Notice: duration(row.Notice), Horizon: duration(row.Horizon), HoldFor: duration(row.HoldFor),
		Price: Money{Minor: row.PriceMinor, Currency: row.Currency}, Active: row.Active, Hours: hours,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}, nil
}

func duration(seconds int64) time.Duration { return time.Duration(seconds) * time.Second }

// copy is the resource for a caller, who may change it without changing what is shared.
func (r *rules) copy() Resource {
	out := r.Resource
	out.Hours = slices.Clone(out.Hours)
	return out
}

// readRules reads a resource by its id or slug in one round trip; [ErrNotFound] without asking where it can be
// neither.
func readRules(ctx context.Context, q Querier, idOrSlug string) (*rules, error) {
	query, key := resourceBySlugSQL, idOrSlug
	switch {
	case isID(idOrSlug):
		query, key = resourceByIDSQL, strings.ToLower(idOrSlug)
	case !isSlug(idOrSlug):
		return nil, ErrNotFound
	}
	row, found, err := selectOne[resourceRow](ctx, q, query, key)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrNotFound
	}
	resource, err := row.resource()
	if err != nil {
		return nil, err
	}
	r, err := newRules(resource, row.Version, row.Clock)
	if err != nil {
		return nil, fmt.Errorf("zone of %s: %w", row.Slug, err)
	}
	return r, nil
}

// load reads a resource from the database and keeps it in memory.
func (s *Store) load(ctx context.Context, run runner, idOrSlug string) (*rules, error) {
	var r *rules
	err := run(ctx, func(q Querier) (err error) {
		r, err = readRules(ctx, q, idOrSlug)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.cache.put(r)
	return r, nil
}
