package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// Resources with slots of a minute, always open, for ten years, free of charge.
const addResources = `
INSERT INTO booking_platform.resources (
    id, slug, name, time_zone, capacity, slot_seconds, step_seconds, horizon_seconds, hold_seconds, price_minor,
    currency, version
)
SELECT id, 'r' || n, 'Resource ' || n, 'UTC', 1, 60, 60, 315360000, 2100, 0, 'eur', id
FROM generate_series(1, $1::integer) AS n,
    LATERAL (SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid AS id) AS i`

type track struct {
	name  string
	start time.Time
}

func (b *bench) track(ctx context.Context, name string) (*track, error) {
	if err := b.server.create(ctx, name); err != nil {
		return nil, err
	}
	db, err := b.server.open(name, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(ctx, addResources, resources); err != nil {
		return nil, err
	}
	return &track{name: name, start: time.Now().UTC().Truncate(time.Hour).Add(24 * time.Hour)}, nil
}

// values maps literals about the first resource to expressions of a pgbench script.
func (t *track) values(bookingID, email string) map[string]string {
	id := fmt.Sprintf("'"+uuids+"%012d'", 1)
	values := map[string]string{
		id:                uuidOf(":r"),
		"'" + email + "'": "('bench-' || :a::text || '@example.com')",
		"'r1'":            "('r' || :r::text)",
	}
	if bookingID != "" {
		values["'"+bookingID+"'"] = uuidOf(":a")
	}
	return values
}

func (t *track) request(resource, minute int) booking.HoldRequest {
	return booking.HoldRequest{
		Resource: fmt.Sprintf("r%d", resource), Start: t.start.Add(time.Duration(minute) * time.Minute),
		Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
	}
}

func randomSlot() (resource, minute int) { return 1 + rand.IntN(resources), rand.IntN(slots) }

type way struct {
	name     string
	socket   bool
	prepared bool
}

var ways = []way{
	{"Go, prepared, unix socket", true, true},
	{"Go, prepared, TCP", false, true},
	{"Go, unix socket", true, false},
}

// overWays adds a contender for each way, with cached resources and open connections.
func (b *bench) overWays(ctx context.Context, t *track, contenders []contender,
	do func(ctx context.Context, s *booking.Store) error) ([]contender, func(), error) {
	var open []*sql.DB
	shut := func() {
		for _, db := range open {
			_ = db.Close()
		}
	}
	for _, w := range ways {
		db, err := b.server.open(t.name, w.socket)
		if err != nil {
			return nil, shut, err
		}
		open = append(open, db)
		store, err := booking.New(db, booking.Options{Prepare: w.prepared})
		if err != nil {
			return nil, shut, err
		}
		for n := range resources {
			if _, err := store.Slots(ctx, fmt.Sprintf("r%d", n+1), t.start, t.start.Add(time.Minute), 1); err != nil {
				return nil, shut, err
			}
		}
		contenders = append(contenders, contender{w.name, func(ctx context.Context) (float64, error) {
			return b.crowd(ctx, t.name+" "+w.name, func(ctx context.Context, _ int) error { return do(ctx, store) })
		}})
	}
	return contenders, shut, nil
}

// captured runs f through a tap and returns the statements.
func (b *bench) captured(ctx context.Context, t *track, f func(*booking.Store) error) ([]statement, error) {
	tap, url, err := newTap(b.server.url(t.name, false))
	if err != nil {
		return nil, err
	}
	defer tap.close()
	db, err := sql.Open("postgres", url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	store, err := booking.New(db, booking.Options{})
	if err != nil {
		return nil, err
	}
	if _, err := store.Slots(ctx, "r1", t.start, t.start.Add(time.Minute), 1); err != nil {
		return nil, err
	}
	tap.take()
	err = f(store)
	return tap.take(), err
}

func (b *bench) holds(ctx context.Context) error {
	t, err := b.track(ctx, "holds")
	if err != nil {
		return err
	}
	var id string
	sent, err := b.captured(ctx, t, func(s *booking.Store) error {
		held, err := s.Hold(ctx, t.request(1, 0))
		id = held.ID
		return err
	})
	if err != nil {
		return err
	}
	text := script(sent, t.values(id, "ada@example.com"), t.start, false)
	contenders := []contender{{"pgbench, prepared, unix socket",
		func(ctx context.Context) (float64, error) { return b.pgbench(ctx, t.name, text) }}}
	contenders, shut, err := b.overWays(ctx, t, contenders, func(ctx context.Context, s *booking.Store) error {
		_, err := s.Hold(ctx, t.request(randomSlot()))
		if errors.Is(err, booking.ErrSlotTaken) {
			// A slot was drawn a second time, which happens to pgbench too.
			return nil
		}
		return err
	})
	defer shut()
	if err != nil {
		return err
	}
	return b.race(ctx, "holds on 100 resources, 32 clients", contenders)
}

func (b *bench) refusals(ctx context.Context) error {
	t, err := b.track(ctx, "refusals")
	if err != nil {
		return err
	}
	refused := func(ctx context.Context, s *booking.Store) error {
		if _, err := s.Hold(ctx, t.request(1, 0)); !errors.Is(err, booking.ErrSlotTaken) {
			return fmt.Errorf("not refused: %w", err)
		}
		return nil
	}
	sent, err := b.captured(ctx, t, func(s *booking.Store) error {
		_, err := s.Hold(ctx, t.request(1, 0))
		return err
	})
	if err != nil {
		return err
	}
	text := script(sent, t.values("", "ada@example.com"), t.start, true)
	contenders := []contender{{"pgbench, prepared, unix socket",
		func(ctx context.Context) (float64, error) { return b.pgbench(ctx, t.name, text) }}}
	contenders, shut, err := b.overWays(ctx, t, contenders, refused)
	defer shut()
	if err != nil {
		return err
	}
	return b.race(ctx, "refusals of one slot, 32 clients", contenders)
}
