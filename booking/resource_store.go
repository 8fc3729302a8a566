package booking

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
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
        resource_id, slug, name, position, slot_seconds, step_seconds, buffer_before_seconds, buffer_after_seconds, price_minor, active
    )
    SELECT c.id, o.slug, o.name, o.position, o.length, o.step, o.before, o.after, o.price, o.active
    FROM created c, jsonb_to_recordset($20::jsonb) AS o(
        slug text, name text, position integer, length integer, step integer, before integer, after integer, price bigint, active boolean
    )
)
SELECT c.id::text AS id FROM created c`

// CreateResource adds a resource and returns it as stored: with its id, its defaults
// filled in and the currency in lower case. It is active. ID, Active, CreatedAt and
// UpdatedAt of what is passed are not looked at.
//
// A [*ValidationError] names every field that is wrong: slug (also when another resource
// has it), name, description, timeZone, capacity, slotLength, slotStep, bufferBefore,
// bufferAfter, notice, horizon, holdFor, holdCap, price, currency, policy, hours,
// exceptions, offers. Of several calls for one slug at once, on any number of replicas,
// one creates it. One transaction of two statements.
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
		id, created, err := insertResource(ctx, q, r, true)
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

// insertResource adds a resource whose defaults are filled in, unless its slug is taken.
func insertResource(ctx context.Context, q Querier, r Resource, active bool) (id string, created bool, err error) {
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
		r.Price.Minor, strings.ToLower(r.Price.Currency), seconds(r.HoldCap), policy, hours, exceptions, offers, active)
	return got.ID, created, err
}

// json writes the parts of a resource that are stored as rows of their own, and its
// policy.
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
		// Texts and numbers can always be written.
		text, _ := json.Marshal(v)
		return string(text)
	}
	return write(h), write(e), write(o), r.Policy.json()
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Resource returns one resource, active or not, by its id or its slug, as the database
// has it now. The error is [ErrNotFound] when there is none. One round trip.
func (s *Store) Resource(ctx context.Context, idOrSlug string) (Resource, error) {
	r, err := s.load(ctx, s.read, idOrSlug)
	if err != nil {
		return Resource{}, wrap(ctx, "resource", err)
	}
	return r.copy(), nil
}

// Resources returns the active resources, by name. One round trip.
func (s *Store) Resources(ctx context.Context) ([]Resource, error) {
	return s.listResources(ctx, listResourcesSQL)
}

// AllResources returns the resources, active or not, by name: for operators. One round
// trip.
func (s *Store) AllResources(ctx context.Context) ([]Resource, error) {
	return s.listResources(ctx, allResourcesSQL)
}

func (s *Store) listResources(ctx context.Context, query string) ([]Resource, error) {
	var rows []resourceRow
	err := s.read(ctx, func(q Querier) (err error) {
		rows, err = selectAll[resourceRow](ctx, q, query)
		return err
	})
	if err != nil {
		return nil, wrap(ctx, "resources", err)
	}
	out := make([]Resource, 0, len(rows))
	for _, row := range rows {
		r, err := row.resource()
		if err != nil {
			return nil, wrap(ctx, "resources", err)
		}
		out = append(out, r)
	}
	return out, nil
}
