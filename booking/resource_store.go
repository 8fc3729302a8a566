package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// One statement, so that a resource never exists without its hours.
const createResourceSQL = `
WITH created AS (
    INSERT INTO booking_platform.resources (
        id, slug, name, description, time_zone, capacity, slot_seconds, step_seconds, buffer_before_seconds,
        buffer_after_seconds, notice_seconds, horizon_seconds, hold_seconds, price_minor, currency,
        hold_cap_seconds, policy, active
    )
    VALUES (
        $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::integer, $7::integer, $8::integer, $9::integer,
        $10::integer, $11::integer, $12::integer, $13::integer, $14::bigint, $15::text,
        $16::integer, $17::jsonb, $21::boolean
    )
    ON CONFLICT (slug) DO NOTHING
    RETURNING id
), hours AS (
    INSERT INTO booking_platform.opening_hours (resource_id, weekday, opens_minute, closes_minute)
    SELECT c.id, h.weekday, h.opens, h.closes
    FROM created c, jsonb_to_recordset($18::jsonb) AS h(weekday smallint, opens integer, closes integer)
), exceptions AS (
    INSERT INTO booking_platform.opening_exceptions (resource_id, on_date, opens_minute, closes_minute)
    SELECT c.id, e.date, e.opens, e.closes
    FROM created c, jsonb_to_recordset($19::jsonb) AS e(date date, opens integer, closes integer)
), offers AS (
    INSERT INTO booking_platform.offers (
        resource_id, slug, name, position, slot_seconds, step_seconds, buffer_before_seconds, buffer_after_seconds,
        price_minor, active
    )
    SELECT c.id, o.slug, o.name, o.position, o.length, o.step, o.before, o.after, o.price, o.active
    FROM created c, jsonb_to_recordset($20::jsonb) AS o(
        slug text, name text, position integer, length integer, step integer, before integer, after integer,
        price bigint, active boolean
    )
)
SELECT c.id::text AS id FROM created c`

// CreateResource adds a resource and returns it as stored: with its id, its defaults and
// the currency in lower case. ID, CreatedAt and UpdatedAt are ignored.
//
// A [*ValidationError] lists the invalid fields: slug (also if another resource has it),
// name, description, timeZone, capacity, slotLength, slotStep, bufferBefore, bufferAfter,
// notice, horizon, holdFor, holdCap, price, currency, policy, hours, exceptions, offers.
// Of concurrent calls for one slug, one succeeds. One transaction of two statements.
func (s *Store) CreateResource(ctx context.Context, r Resource) (Resource, error) {
	r = r.withDefaults()
	if err := r.check().err(); err != nil {
		return Resource{}, wrap(ctx, "create resource", err)
	}
	created, err := s.createResource(ctx, r)
	return created, wrap(ctx, "create resource", err)
}

func (s *Store) createResource(ctx context.Context, r Resource) (Resource, error) {
	var stored *rules
	err := s.transact(ctx, func(q Querier) error {
		id, created, err := insertResource(ctx, q, r)
		if err != nil {
			return err
		}
		if !created {
			return &ValidationError{Fields: map[string]string{"slug": "is taken by another resource"}}
		}
		stored, err = readRules(ctx, q, id)
		return err
	})
	if err != nil {
		return Resource{}, err
	}
	return stored.copy(), nil
}

// insertResource adds a resource with defaults, unless its slug is taken.
func insertResource(ctx context.Context, q Querier, r Resource) (id string, created bool, err error) {
	made, err := uuid.NewV7()
	if err != nil {
		return "", false, fmt.Errorf("make an id: %w", err)
	}
	hours, exceptions, offers, policy := r.json()
	type row struct {
		ID string `db:"id"`
	}
	got, created, err := selectOne[row](ctx, q, createResourceSQL,
		made.String(), r.Slug, r.Name, r.Description, r.TimeZone, r.Capacity, seconds(r.SlotLength),
		seconds(r.SlotStep),
		seconds(r.BufferBefore), seconds(r.BufferAfter), seconds(r.Notice), seconds(r.Horizon), seconds(r.HoldFor),
		r.Price.Minor, strings.ToLower(r.Price.Currency), seconds(r.HoldCap), policy, hours, exceptions, offers,
		!r.Inactive)
	return got.ID, created, err
}

// json returns the parts of a resource that are stored as rows or as JSON.
func (r Resource) json() (hours, exceptions, offers, policy string) {
	h := []hoursRow{}
	for _, x := range r.Hours {
		h = append(h, hoursRow{int(x.Weekday), x.Opens, x.Closes})
	}
	e := []exceptionRow{}
	for _, x := range r.Exceptions {
		if len(x.Hours) == 0 {
			e = append(e, exceptionRow{Date: x.Date})
		}
		for _, i := range x.Hours {
			e = append(e, exceptionRow{x.Date, i.Opens, i.Closes})
		}
	}
	o := []offerRow{}
	for n, x := range r.Offers {
		o = append(o, offerRow{
			x.Slug, x.Name, n, seconds(x.SlotLength), seconds(x.SlotStep), seconds(x.BufferBefore),
			seconds(x.BufferAfter),
			x.Price.Minor, !x.Inactive,
		})
	}
	write := func(v any) string {
		// Strings and numbers cannot fail.
		text, _ := json.Marshal(v)
		return string(text)
	}
	return write(h), write(e), write(o), r.Policy.json()
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Resource returns a resource, active or not, by its id or slug, as the database has it.
// The error is [ErrNotFound]. One round trip.
func (s *Store) Resource(ctx context.Context, idOrSlug string) (Resource, error) {
	r, err := s.load(ctx, s.read, idOrSlug)
	if err != nil {
		return Resource{}, wrap(ctx, "resource", err)
	}
	return r.copy(), nil
}

// CachedResource returns a resource as this process last read it; after a [Store.Hold] it
// is no older than the hold. No round trip if it is cached, else one. The error is
// [ErrNotFound].
func (s *Store) CachedResource(ctx context.Context, idOrSlug string) (Resource, error) {
	if r, ok := s.cache.get(idOrSlug); ok {
		return r.copy(), nil
	}
	return s.Resource(ctx, idOrSlug)
}

const (
	resourceOwnColumns = `
    r.id::text AS id, r.slug, r.name, r.description, r.time_zone, r.capacity, r.slot_seconds, r.step_seconds,
    r.buffer_before_seconds, r.buffer_after_seconds, r.notice_seconds, r.horizon_seconds, r.hold_seconds,
    r.hold_cap_seconds,
    r.price_minor, r.currency, r.policy::text AS policy, r.active, r.version::text AS version, r.created_at,
    r.updated_at,
    statement_timestamp() AS clock`

	hoursJSON = `jsonb_agg(
            jsonb_build_object('weekday', h.weekday, 'opens', h.opens_minute, 'closes', h.closes_minute)
            ORDER BY h.weekday, h.opens_minute
        )`
	exceptionsJSON = `jsonb_agg(
            jsonb_build_object('date', e.on_date, 'opens', e.opens_minute, 'closes', e.closes_minute)
            ORDER BY e.on_date, e.opens_minute
        )`
	offersJSON = `jsonb_agg(
            jsonb_build_object(
                'slug', o.slug, 'name', o.name, 'length', o.slot_seconds, 'step', o.step_seconds,
                'before', o.buffer_before_seconds, 'after', o.buffer_after_seconds, 'price', o.price_minor,
                'active', o.active
            )
            ORDER BY o.position, o.slug
        )`

	resourceColumns = resourceOwnColumns + `,
    COALESCE((
        SELECT ` + hoursJSON + `
        FROM booking_platform.opening_hours h WHERE h.resource_id = r.id
    ), '[]')::text AS hours,
    COALESCE((
        SELECT ` + exceptionsJSON + `
        FROM booking_platform.opening_exceptions e WHERE e.resource_id = r.id
    ), '[]')::text AS exceptions,
    COALESCE((
        SELECT ` + offersJSON + `
        FROM booking_platform.offers o WHERE o.resource_id = r.id
    ), '[]')::text AS offers
FROM booking_platform.resources r`

	resourceByIDSQL   = `SELECT` + resourceColumns + ` WHERE r.id = $1::uuid`
	resourceBySlugSQL = `SELECT` + resourceColumns + ` WHERE r.slug = $1::text`
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
		Price:   Money{Minor: row.PriceMinor, Currency: row.Currency}, Policy: policy, Inactive: !row.Active,
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

// copy returns the resource for a caller, who may modify it.
func (r *rules) copy() Resource { return r.Resource.clone() }

// readRules reads a resource by its id or slug in one round trip.
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

// load reads a resource from the database into the cache.
func (s *Store) load(ctx context.Context, run runner, idOrSlug string) (*rules, error) {
	var r *rules
	err := run(ctx, func(q Querier) (err error) {
		r, err = readRules(ctx, q, idOrSlug)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Rules that may be behind do not replace later ones, which a Hold may have just used.
	if known, ok := s.cache.get(r.ID); !ok || ctx.Value(behindKey{}) == nil || !known.UpdatedAt.After(r.UpdatedAt) {
		s.cache.put(r)
	}
	return r, nil
}

const maxCached = 1024

// cache keeps the rules of resources by id and slug. They may be out of date, and may
// even be what a transaction wrote and rolled back: statements check the version, and
// refusals are checked against the database.
type cache struct {
	mu   sync.Mutex
	byID map[string]*rules
	ids  map[string]string
}

func (c *cache) get(idOrSlug string) (*rules, bool) {
	if isID(idOrSlug) {
		idOrSlug = strings.ToLower(idOrSlug)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.byID[idOrSlug]; ok {
		return r, true
	}
	r, ok := c.byID[c.ids[idOrSlug]]
	return r, ok
}

func (c *cache) put(r *rules) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID, c.ids = map[string]*rules{}, map[string]string{}
	}
	if old, ok := c.byID[r.ID]; ok {
		c.forget(old)
	} else if len(c.byID) >= maxCached {
		for _, other := range c.byID {
			c.forget(other)
			break
		}
	}
	c.byID[r.ID] = r
	c.ids[r.Slug] = r.ID
}

func (c *cache) forget(r *rules) {
	delete(c.byID, r.ID)
	if c.ids[r.Slug] == r.ID {
		delete(c.ids, r.Slug)
	}
}
