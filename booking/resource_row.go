package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const resourceColumns = `
    r.id::text AS id, r.slug, r.name, r.description, r.time_zone, r.capacity, r.slot_seconds, r.step_seconds,
    r.buffer_before_seconds, r.buffer_after_seconds, r.notice_seconds, r.horizon_seconds, r.hold_seconds, r.hold_cap_seconds,
    r.price_minor, r.currency, r.policy::text AS policy, r.active, r.version::text AS version, r.created_at, r.updated_at,
    statement_timestamp() AS clock,
    COALESCE((
        SELECT jsonb_agg(
            jsonb_build_object('weekday', h.weekday, 'opens', h.opens_minute, 'closes', h.closes_minute)
            ORDER BY h.weekday, h.opens_minute
        )
        FROM booking_platform.opening_hours h WHERE h.resource_id = r.id
    ), '[]')::text AS hours,
    COALESCE((
        SELECT jsonb_agg(
            jsonb_build_object('date', e.on_date, 'opens', e.opens_minute, 'closes', e.closes_minute)
            ORDER BY e.on_date, e.opens_minute
        )
        FROM booking_platform.opening_exceptions e WHERE e.resource_id = r.id
    ), '[]')::text AS exceptions,
    COALESCE((
        SELECT jsonb_agg(
            jsonb_build_object(
                'slug', o.slug, 'name', o.name, 'length', o.slot_seconds, 'step', o.step_seconds,
                'before', o.buffer_before_seconds, 'after', o.buffer_after_seconds, 'price', o.price_minor, 'active', o.active
            )
            ORDER BY o.position, o.slug
        )
        FROM booking_platform.offers o WHERE o.resource_id = r.id
    ), '[]')::text AS offers
FROM booking_platform.resources r`

const (
	resourceByIDSQL   = `SELECT` + resourceColumns + ` WHERE r.id = $1::uuid`
	resourceBySlugSQL = `SELECT` + resourceColumns + ` WHERE r.slug = $1::text`
	listResourcesSQL  = `SELECT` + resourceColumns + ` WHERE r.active ORDER BY r.name, r.id`
	allResourcesSQL   = `SELECT` + resourceColumns + ` ORDER BY r.name, r.id`
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
	HoldCap      int64     `db:"hold_cap_seconds"`
	PriceMinor   int64     `db:"price_minor"`
	Policy       string    `db:"policy"`
	Currency     string    `db:"currency"`
	Active       bool      `db:"active"`
	Version      string    `db:"version"`
	CreatedAt    time.Time `db:"created_at"`
	UpdatedAt    time.Time `db:"updated_at"`
	Clock        time.Time `db:"clock"`
	Hours        string    `db:"hours"`
	Exceptions   string    `db:"exceptions"`
	Offers       string    `db:"offers"`
}

type hoursRow struct {
	Weekday int `json:"weekday"`
	Opens   int `json:"opens"`
	Closes  int `json:"closes"`
}

type exceptionRow struct {
	Date   Date `json:"date"`
	Opens  int  `json:"opens"`
	Closes int  `json:"closes"`
}

type offerRow struct {
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	Position int    `json:"position"`
	Length   int64  `json:"length"`
	Step     int64  `json:"step"`
	Before   int64  `json:"before"`
	After    int64  `json:"after"`
	Price    int64  `json:"price"`
	Active   bool   `json:"active"`
}

func (row resourceRow) resource() (Resource, error) {
	var hours []hoursRow
	var exceptions []exceptionRow
	var offers []offerRow
	policy, err := readPolicy(row.Policy)
	err = errors.Join(err,
		json.Unmarshal([]byte(row.Hours), &hours),
		json.Unmarshal([]byte(row.Exceptions), &exceptions),
		json.Unmarshal([]byte(row.Offers), &offers))
	if err != nil {
		return Resource{}, fmt.Errorf("read the rules of %s: %w", row.Slug, err)
	}
	r := Resource{
		ID: row.ID, Slug: row.Slug, Name: row.Name, Description: row.Description, TimeZone: row.TimeZone,
		Capacity:   row.Capacity,
		SlotLength: duration(row.SlotLength), SlotStep: duration(row.SlotStep),
		BufferBefore: duration(row.BufferBefore), BufferAfter: duration(row.BufferAfter),
		Notice: duration(row.Notice), Horizon: duration(row.Horizon), HoldFor: duration(row.HoldFor),
		HoldCap: duration(row.HoldCap),
		Price:   Money{Minor: row.PriceMinor, Currency: row.Currency}, Policy: policy, Active: row.Active,
		CreatedAt: row.CreatedAt.UTC(), UpdatedAt: row.UpdatedAt.UTC(),
	}
	for _, h := range hours {
		r.Hours = append(r.Hours, Hours{Weekday: time.Weekday(h.Weekday), Opens: h.Opens, Closes: h.Closes})
	}
	for _, e := range exceptions {
		last := len(r.Exceptions) - 1
		if last < 0 || r.Exceptions[last].Date != e.Date {
			r.Exceptions = append(r.Exceptions, Exception{Date: e.Date})
			last++
		}
		if e.Closes > 0 {
			r.Exceptions[last].Hours = append(r.Exceptions[last].Hours, Interval{Opens: e.Opens, Closes: e.Closes})
		}
	}
	for _, o := range offers {
		r.Offers = append(r.Offers, Offer{
			Slug: o.Slug, Name: o.Name, SlotLength: duration(o.Length), SlotStep: duration(o.Step),
			BufferBefore: duration(o.Before), BufferAfter: duration(o.After),
			Price: Money{Minor: o.Price, Currency: row.Currency}, Inactive: !o.Active,
		})
	}
	return r, nil
}

func duration(seconds int64) time.Duration { return time.Duration(seconds) * time.Second }

// copy is the resource for a caller, who may change it without changing what is shared.
func (r *rules) copy() Resource {
	out := r.Resource
	out.Hours = slices.Clone(out.Hours)
	out.Exceptions = slices.Clone(out.Exceptions)
	for i := range out.Exceptions {
		out.Exceptions[i].Hours = slices.Clone(out.Exceptions[i].Hours)
	}
	out.Offers = slices.Clone(out.Offers)
	return out
}

// readRules reads a resource by its id or slug in one round trip; [ErrNotFound] without
// asking where it can be neither.
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
