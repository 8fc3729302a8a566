package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
)

// movePlaces is the number of starts for the moved bookings, one booking per client. They
// last two minutes and begin at any minute, so each start overlaps three.
const movePlaces = 3 * clients

// The simplest statement: the constraint prevents overlaps.
const bareMove = `
UPDATE booking_platform.bookings b
SET during = tstzrange($2::timestamptz, $3::timestamptz, '[)'),
    blocked = tstzrange($2::timestamptz, $3::timestamptz, '[)')
WHERE b.id = $1::uuid`

// moves: each client moves its booking on one resource. Only successful moves count, not
// refusals or deadlocks.
func (b *bench) moves(ctx context.Context) error {
	t, err := b.track(ctx, "moves")
	if err != nil {
		return err
	}
	db, err := b.server.open(t.name, true)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	store, err := booking.New(db, booking.Options{Prepare: true})
	if err != nil {
		return err
	}
	if _, err := store.CreateResource(ctx, booking.Resource{
		Slug: "moves", Name: "Moves", TimeZone: "UTC", Capacity: 1, SlotLength: 2 * time.Minute, SlotStep: time.Minute,
		HoldFor: 24 * time.Hour,
		Price:   booking.Money{Currency: "eur"},
	}); err != nil {
		return err
	}
	place := func(n int) time.Time { return t.start.Add(time.Duration(n) * time.Minute) }
	plain, err := booking.New(db, booking.Options{})
	if err != nil {
		return err
	}
	ids := make([]string, clients)
	for n := range ids {
		req := t.request(1, 0)
		req.Resource, req.Start = "moves", place(3*n)
		held, err := store.Hold(ctx, req)
		if err != nil {
			return err
		}
		ids[n] = held.ID
	}
	move := func(s *booking.Store) func(ctx context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			return b.answers(ctx, "moves Reschedule", func(ctx context.Context, client int) (bool, error) {
				_, err := s.Reschedule(ctx,
					booking.RescheduleRequest{ID: ids[client], Start: place(rand.IntN(movePlaces))})
				if errors.Is(err, booking.ErrSlotTaken) {
					return false, nil
				}
				return err == nil, err
			})
		}
	}
	contenders := []contender{
		{"bare UPDATE", func(ctx context.Context) (float64, error) {
			return b.answers(ctx, "moves bare", func(ctx context.Context, client int) (bool, error) {
				start := place(rand.IntN(movePlaces))
				_, err := db.ExecContext(ctx, bareMove, ids[client], start, start.Add(2*time.Minute))
				switch pg.SQLState(err) {
				case "23P01", "40P01":
					return false, nil
				}
				return err == nil, err
			})
		}},
		{"Reschedule, prepared", move(store)},
		{"Reschedule", move(plain)},
	}
	return b.race(ctx, fmt.Sprintf("moves on one resource, %d clients", clients), contenders)
}
