package main

import (
	"context"
	"database/sql"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// Resources are always open, with bookings from 8 to 20 o'clock for some months back and
// seven weeks ahead, in four of five slots: one at capacity 1, six parties of 1 to 8 at
// capacity 50. Each kind has half of the bookings.
const (
	daysBack, daysAhead = 150, 50
	hoursOpen           = 12
	parties             = 6
	perSmall            = (daysBack + daysAhead) * hoursOpen * 4 / 5
	perLarge            = perSmall * parties
)

type filled struct {
	*sql.DB
	name string
	// small and large are the numbers of resources of capacity 1 (s1, s2 …) and 50 (l1,
	// l2 …).
	small, large int
	bookings     int
	midnight     time.Time
	// backend is the server process of its connection.
	backend int
}

const addFilledResources = `
INSERT INTO booking_platform.resources (
    id, slug, name, time_zone, capacity, slot_seconds, step_seconds, horizon_seconds, hold_seconds, price_minor,
    currency
)
SELECT gen_random_uuid(), $1::text || n, 'Resource ' || n, 'UTC', $2::integer, 3600, 3600, 31536000, 2100, 2500, 'eur'
FROM generate_series(1, $3::integer) AS n`

// One day of bookings, hour by hour, so that those of one resource are far apart in the
// table, as in real use. Ids ascend.
const addDay = `
INSERT INTO booking_platform.bookings (
    id, resource_id, units, party, during, blocked, status, hold_expires_at, first_name, last_name, email,
    amount_minor, currency, created_at
)
SELECT ('01900000-' || lpad(to_hex($2::integer), 4, '0')
    || '-7000-8000-' || lpad(to_hex(row_number() OVER (ORDER BY b.hour, b.k, b.mixed)), 12, '0'))::uuid,
       b.id, b.units, b.party, b.span, b.span, 'confirmed', lower(b.span), 'Ada', 'Lovelace',
       'customer' || (random() * 100000)::integer || '@example.com', 2500 * b.party, 'eur',
       lower(b.span) - interval '7 days'
FROM (
    SELECT r.id, h.hour, k.k, md5(r.id::text || h.hour) AS mixed, p.party,
           int4multirange(int4range(1 + 8 * k.k, 1 + 8 * k.k + p.party)) AS units,
           tstzrange($1::timestamptz + h.hour * interval '1 hour', $1::timestamptz + (h.hour + 1) * interval '1 hour',
               '[)') AS span
    FROM booking_platform.resources r
    CROSS JOIN generate_series(8, 7 + $3::integer) AS h(hour)
    CROSS JOIN LATERAL generate_series(0, CASE r.capacity WHEN 1 THEN 0 ELSE $4::integer - 1 END) AS k(k)
    CROSS JOIN LATERAL (SELECT CASE r.capacity WHEN 1 THEN 1 ELSE 1 + (random() * 7)::integer END AS party
    WHERE h.hour + k.k >= 0) AS p
    WHERE random() < 0.8
    ORDER BY h.hour, k.k, mixed
) b`

// Holds that expire later, which the sweep reads first.
const addDeadlines = `
INSERT INTO booking_platform.hold_deadlines (due_at, booking_id)
SELECT statement_timestamp() + interval '1 day' + n * interval '1 second', gen_random_uuid()
    FROM generate_series(1, $1::integer) AS n`

// fill makes a database with about so many bookings. To load fast it drops indexes and
// the exclusion constraint and recreates them; the table is unlogged, without triggers
// and history.
func (b *bench) fill(ctx context.Context, name string, bookings int) (*filled, error) {
	began := time.Now()
	if err := b.server.create(ctx, name); err != nil {
		return nil, err
	}
	f := &filled{
		name: name, small: max(1, bookings/2/perSmall), large: max(1, bookings/2/perLarge),
		midnight: time.Now().UTC().Truncate(24 * time.Hour),
	}
	if err := b.load(ctx, f); err != nil {
		return nil, err
	}
	var err error
	if f.DB, err = b.server.open(name, true); err != nil {
		return nil, err
	}
	// cpu needs a single connection.
	f.SetMaxOpenConns(1)
	if err := f.QueryRowContext(ctx,
		`SELECT count(*), pg_backend_pid() FROM booking_platform.bookings`).Scan(&f.bookings, &f.backend); err != nil {
		_ = f.Close()
		return nil, err
	}
	fmt.Printf("%d bookings of %d resources with capacity 1 and %d with 50: filled in %s\n", f.bookings, f.small,
		f.large, time.Since(began).Round(time.Second))
	return f, nil
}

func (b *bench) load(ctx context.Context, f *filled) error {
	// JIT compilation would cost more than the statements.
	db, err := sql.Open("postgres", b.server.url(f.name, true)+"&options=-c%20jit%3Doff")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	again, err := strip(ctx, db)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		slug            string
		capacity, count int
	}{{"s", 1, f.small}, {"l", 50, f.large}} {
		if _, err := db.ExecContext(ctx, addFilledResources, kind.slug, kind.capacity, kind.count); err != nil {
			return err
		}
	}
	var days, builds []work
	for day := range daysBack + daysAhead {
		days = append(days, work{addDay, []any{f.midnight.AddDate(0, 0, day-daysBack), day, hoursOpen, parties}})
	}
	for _, statement := range again {
		builds = append(builds, work{statement, nil})
	}
	for _, all := range [][]work{days, {{addDeadlines, []any{f.small * perSmall / 50}}}, builds,
		{{`VACUUM ANALYZE`, nil}}} {
		if err := abreast(ctx, db, all); err != nil {
			return err
		}
	}
	return nil
}

type work struct {
	query string
	args  []any
}

// abreast runs statements on as many connections as there are processors.
func abreast(ctx context.Context, db *sql.DB, all []work) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan work)
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for w := range todo {
				if _, err := db.ExecContext(ctx, w.query, w.args...); err != nil {
					cancel(fmt.Errorf("%.60s: %w", w.query, err))
				}
			}
		})
	}
	for _, w := range all {
		todo <- w
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

const (
	constraintsSQL = `
SELECT 'ALTER TABLE booking_platform.bookings DROP CONSTRAINT ' || quote_ident(c.conname),
       'ALTER TABLE booking_platform.bookings ADD CONSTRAINT '
        || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid)
FROM pg_constraint c WHERE c.conrelid = 'booking_platform.bookings'::regclass AND c.contype IN ('x', 'f')`
	indexesSQL = `
SELECT 'DROP INDEX ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid)
FROM pg_index i
WHERE i.indrelid = 'booking_platform.bookings'::regclass
    AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)`
)

// strip drops what slows down loading, and returns the statements that recreate it.
func strip(ctx context.Context, db *sql.DB) (again []string, err error) {
	var drop []string
	for _, query := range []string{constraintsSQL, indexesSQL} {
		rows, err := db.QueryContext(ctx, query)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var down, up string
			if err := rows.Scan(&down, &up); err != nil {
				return nil, err
			}
			drop, again = append(drop, down), append(again, up)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	// Foreign keys to this table are dropped first: a logged table cannot refer to an
	// unlogged one.
	const referring = `
SELECT 'ALTER TABLE ' || c.conrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(c.conname)
FROM pg_constraint c WHERE c.confrelid = 'booking_platform.bookings'::regclass AND c.contype = 'f'`
	rows, err := db.QueryContext(ctx, referring)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var down string
		if err := rows.Scan(&down); err != nil {
			return nil, err
		}
		drop = append(drop, down)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, statement := range append(drop, `ALTER TABLE booking_platform.bookings SET UNLOGGED`) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("%s: %w", statement, err)
		}
	}
	return again, nil
}
