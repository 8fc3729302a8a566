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
        buffer_after_seconds, notice_seconds, horizon_seconds, hold_seconds, price_minor, currency
    )
    VALUES (
        $1::uuid, $2::text, $3::text, $4::text, $5::text, $6::integer, $7::integer, $8::integer, $9::integer,
        $10::integer, $11::integer, $12::integer, $13::integer, $14::bigint, $15::text
    )
    ON CONFLICT (slug) DO NOTHING
    RETURNING id
), hours AS (
    INSERT INTO booking_platform.opening_hours (resource_id, weekday, opens_minute, closes_minute)
    SELECT c.id, h.weekday, h.opens, h.closes
    FROM created c, jsonb_to_recordset($16::jsonb) AS h(weekday smallint, opens integer, closes integer)
)
SELECT c.id::text AS id FROM created c`

// CreateResource adds a resource and returns it as stored: with its id, its defaults filled in and the currency in
// lower case. It is active. ID, Active, CreatedAt and UpdatedAt of what is passed are not looked at.
//
// A [*ValidationError] names every field that is wrong: slug (also when another resource has it), name, description,
// timeZone, capacity, slotLength, slotStep, bufferBefore, bufferAfter, notice, horizon, holdFor, price, currency,
// hours. Of several calls for one slug at once, on any number of replicas, one creates it. One transaction of two
// statements.
func (s *Store) CreateResource(ctx context.Context, r Resource) (Resource, error) {
	r = r.withDefaults()
	if err := r.check().err(); err != nil {
		return Resource{}, wrap(ctx, "create resource", err)
	}
	created, err := s.createResource(ctx, r)
	return created, wrap(ctx, "create resource", err)
}

func (s *Store) createResource(ctx context.Context, r Resource) (Resource, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Resource{}, fmt.Errorf("make an id: %w", err)
	}
	hours := make([]hoursRow, 0, len(r.Hours))
	for _, h := range r.Hours {
		hours = append(hours, hoursRow{int(h.Weekday), h.Opens, h.Closes})
	}
	// Numbers can always be written.
	hoursJSON, _ := json.Marshal(hours)
	var stored *rules
	err = s.transact(ctx, func(q Querier) error {
		type row struct {
			ID string `db:"id"`
		}
		_, created, err := selectOne[row](ctx, q, createResourceSQL,
			id.String(), r.Slug, r.Name, r.Description, r.TimeZone, r.Capacity, seconds(r.SlotLength), seconds(r.SlotStep),
			seconds(r.BufferBefore), seconds(r.BufferAfter), seconds(r.Notice), seconds(r.Horizon), seconds(r.HoldFor),
			r.Price.Minor, strings.ToLower(r.Price.Currency), string(hoursJSON))
		if err != nil {
			return err
		}
		if !created {
			return &ValidationError{Fields: map[string]string{"slug": "is taken by another resource"}}
		}
		stored, err = readRules(ctx, q, id.String())
		return err
	})
	if err != nil {
		return Resource{}, err
	}
	return stored.copy(), nil
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Resource returns one resource, active or not, by its id or its slug, as the database has it now. The error is
// [ErrNotFound] when there is none. One round trip.
func (s *Store) Resource(ctx context.Context, idOrSlug string) (Resource, error) {
	r, err := s.load(ctx, s.run, idOrSlug)
	if err != nil {
		return Resource{}, wrap(ctx, "resource", err)
	}
	return r.copy(), nil
}

// Resources returns the active resources, by name. One round trip.
func (s *Store) Resources(ctx context.Context) ([]Resource, error) {
	var rows []resourceRow
	err := s.run(ctx, func(q Querier) (err error) {
		rows, err = selectAll[resourceRow](ctx, q, listResourcesSQL)
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
