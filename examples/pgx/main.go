// Command pgx sells places on boat tours with a pool of pgx: packages booking and webhook
// on a *sql.DB over a pgxpool.Pool, and the service's own statements through pgx itself,
// with a batch and COPY in the transaction of a booking.
//
//	cd examples/pgx && DATABASE_URL=postgres://… go run .
//
// It books a tour for two and lists its passengers. tours.go has the transaction,
// README.md what differs from lib/pq.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/webhook"
)

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	s, err := newService(ctx, pool)
	if err != nil {
		log.Fatal(err)
	}
	defer s.close()
	if err := show(ctx, s); err != nil {
		log.Print(err)
	}
}

// show books the next tour.
func show(ctx context.Context, s *service) error {
	slot, err := s.bookings.NextSlot(ctx, booking.NextSlotRequest{Resource: tour.Slug, Party: 2})
	if err != nil {
		return err
	}
	b, err := s.book(ctx, slot.Start, []string{"Ada Lovelace", "Grace Hopper"}, "ada@example.com")
	if err != nil {
		return err
	}
	names, err := s.passengers(ctx, b.ID)
	if err != nil {
		return err
	}
	fmt.Printf("%s at %s: %v\n", tour.Name, b.Start.Format(time.RFC3339), names)
	return nil
}

type service struct {
	pool     *pgxpool.Pool
	db       *sql.DB
	bookings *booking.Store
	receiver *webhook.Receiver
}

func newService(ctx context.Context, pool *pgxpool.Pool) (_ *service, err error) {
	s := &service{pool: pool}
	// The pgxpool keeps the idle connections. This pool has to know the limit: the
	// packages leave some of it to others.
	s.db = stdlib.OpenDBFromPool(pool)
	s.db.SetMaxOpenConns(int(pool.Config().MaxConns))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if _, err := migrations.Up(ctx, s.db, migrations.Booking|migrations.Webhook); err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, tablesSQL); err != nil {
		return nil, err
	}
	if s.bookings, err = booking.New(s.db, booking.Options{}); err != nil {
		return nil, err
	}
	if s.receiver, err = webhook.New(s.db, []string{"whsec_example"}, webhook.Options{}); err != nil {
		return nil, err
	}
	s.receiver.Handle("checkout.session.completed", s.paid)
	_, err = s.bookings.ApplyResource(ctx, tour, booking.ApplyOptions{})
	return s, err
}

// close closes the database/sql pool, and not the pgxpool below it.
func (s *service) close() error { return s.db.Close() }
