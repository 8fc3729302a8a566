package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// The service's own tables, in its own schema.
const tablesSQL = `
CREATE SCHEMA IF NOT EXISTS tours;
CREATE TABLE IF NOT EXISTS tours.trips (
	booking_id uuid PRIMARY KEY REFERENCES booking_platform.bookings (id),
	boat       text NOT NULL,
	paid       boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS tours.passengers (
	booking_id uuid NOT NULL REFERENCES tours.trips (booking_id),
	seat       int  NOT NULL,
	name       text NOT NULL,
	PRIMARY KEY (booking_id, seat)
)`

var tour = booking.Resource{
	Slug: "tour", Name: "Harbour tour", TimeZone: "Europe/Paris", SlotLength: time.Hour, Capacity: 8,
	Price: booking.Money{Currency: "eur"},
}

// errTwice means that a tour was given twice.
var errTwice = errors.New("this trip exists already")

// book holds places, confirms them and stores the passengers in one transaction: through
// database/sql, and a batch and COPY through pgx on the same connection.
func (s *service) book(ctx context.Context, start time.Time, names []string, email string) (booking.Booking, error) {
	var b booking.Booking
	once := func() error {
		return s.inTx(ctx, func(conn *sql.Conn, tx *sql.Tx) (err error) {
			bookings := s.bookings.Tx(tx)
			b, err = bookings.Hold(ctx, booking.HoldRequest{
				Resource: tour.Slug, Start: start, Party: len(names),
				Customer: booking.Customer{FirstName: names[0], Email: email},
			})
			if err != nil {
				return err
			}
			if b, err = bookings.Confirm(ctx, b.ID); err != nil {
				return err
			}
			return raw(conn, func(c *pgx.Conn) error { return store(ctx, c, b.ID, names) })
		})
	}
	err := once()
	for range 3 {
		if !booking.IsRetryable(err) {
			break
		}
		err = once()
	}
	return b, err
}

// inTx lets do use the connection by pgx too. The transaction begins under a context that
// is not cancelled: a cancel request during COMMIT would report success for what a
// synchronous standby does not have.
func (s *service) inTx(ctx context.Context, do func(*sql.Conn, *sql.Tx) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	tx, err := conn.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(conn, tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return tx.Commit()
}

// raw calls do with pgx's connection, on which a transaction is open: do must not end it,
// and must have read all rows when it returns.
func raw(conn *sql.Conn, do func(*pgx.Conn) error) error {
	return conn.Raw(func(driverConn any) error {
		c, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the driver is not pgx: %T", driverConn)
		}
		return do(c.Conn())
	})
}

// store writes the trip by a batch, one round trip, and the passengers by COPY.
func store(ctx context.Context, c *pgx.Conn, bookingID string, names []string) error {
	batch := &pgx.Batch{}
	batch.Queue(`SELECT set_config('tours.changed_by', 'booking', true)`)
	batch.Queue(`INSERT INTO tours.trips (booking_id, boat) VALUES ($1, $2)`, bookingID, "Undine")
	if err := c.SendBatch(ctx, batch).Close(); err != nil {
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code == "23505" {
			return errTwice
		}
		return fmt.Errorf("store the trip: %w", err)
	}
	_, err := c.CopyFrom(ctx, pgx.Identifier{"tours", "passengers"}, []string{"booking_id", "seat", "name"},
		pgx.CopyFromSlice(len(names), func(i int) ([]any, error) { return []any{bookingID, i + 1, names[i]}, nil }))
	if err != nil {
		return fmt.Errorf("store the passengers: %w", err)
	}
	return nil
}

func (s *service) passengers(ctx context.Context, bookingID string) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT name FROM tours.passengers WHERE booking_id = $1 ORDER BY seat`, bookingID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// paid handles Stripe's event. Its *sql.Tx does not give the connection, so there is no
// batch and no COPY; a consumer that owns one has webhook.Ledger.Claim.
func (s *service) paid(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
	return webhook.FromResult(tx.ExecContext(ctx,
		`UPDATE tours.trips SET paid = true WHERE booking_id::text = $1`, ev.Reference))
}
