package main

import (
	"context"
	"database/sql"
	"fmt"
)

// Bookings that await events in each run, with ids that are composed from a number. A run
// that has used all of them fails and needs a larger BENCH_EVENTS.
const (
	eventsWaiting = 120_000
	paymentUUIDs  = "00000000-0000-7001-8000-"
)

// Pending bookings with an open Checkout Session.
var addWaiting = []string{`
INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status, hold_expires_at,
    first_name, last_name, email, amount_minor, currency)
SELECT ('` + uuids + `' || lpad(n::text, 12, '0'))::uuid, ('` + uuids + `' || lpad((1 + n % 100)::text, 12, '0'))::uuid,
    '{[1,2)}', 1, s.slot, s.slot, 'pending', statement_timestamp() + interval '1 day', 'Ada', 'Lovelace',
    'ada' || n || '@example.com', 2500, 'eur'
FROM generate_series(0, $1::integer - 1) AS n,
    LATERAL (SELECT tstzrange(t, t + interval '1 minute', '[)') AS slot
             FROM (SELECT date_trunc('day', statement_timestamp())
                 + interval '2 days' + (n / 100) * interval '1 minute' AS t) AS t) AS s`, `
INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status)
SELECT ('` + uuids + `' || lpad(n::text, 12, '0'))::uuid, '', 'pending'
    FROM generate_series(0, $1::integer - 1) AS n`, `
INSERT INTO booking_platform.payments (id, booking_id, stripe_session_id, amount_minor, currency, checkout_url,
    parameters, session_expires_at)
SELECT ('` + paymentUUIDs + `' || lpad(n::text, 12, '0'))::uuid, ('` + uuids + `' || lpad(n::text, 12, '0'))::uuid,
    'cs_bench_' || lpad(n::text, 12, '0'),
    2500, 'eur', 'https://checkout.stripe.com/c/pay/cs_bench_' || lpad(n::text, 12, '0')
    || '#fidkdWxOYHwnPyd1blpxYHZxWjA0', '` + sessionParameters + `',
    statement_timestamp() + interval '1 day'
FROM generate_series(0, $1::integer - 1) AS n`,
}

const sessionParameters = `{"expires_at":1795086100,"line_items":[{"name":"Court",` +
	`"description":"1 person, 2026-11-25 10:00","amount":2500,"currency":"eur","quantity":1}],` +
	`"success_url":"https://booking.example/success?session_id={CHECKOUT_SESSION_ID}",` +
	`"cancel_url":"https://booking.example/cancel","customer_email":"ada@example.com"}`

// The rows that the host changes for an event, in one statement, and only two of them.
const (
	sameRows = claimedRow + `, paid AS (
    UPDATE booking_platform.payments p SET completed = true, captured_minor = 2500, captured_currency = 'eur',
        stripe_payment_intent_id = 'pi_bench_' || c.n, updated_at = statement_timestamp()
    FROM claimed c WHERE p.stripe_session_id = 'cs_bench_' || c.n AND NOT p.completed
    RETURNING p.booking_id, c.n
), confirmed AS (
    UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
    FROM paid WHERE b.id = paid.booking_id AND b.status = 'pending'
    RETURNING b.id, paid.n
)
INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status, actor)
SELECT c.id, 'pending', 'confirmed', 'stripe' || ':' || 'evt_bench_' || c.n FROM confirmed c;
`
	twoRows = claimedRow + `
UPDATE booking_platform.bookings b SET status = 'confirmed', updated_at = statement_timestamp()
FROM claimed c WHERE b.id = ('` + uuids + `' || c.n)::uuid AND b.status = 'pending';
`
	claimedRow = `\set n :n + 1
\set id :client_id * :per + :n
WITH told AS (SELECT lpad(:id::text, 12, '0') AS n), claimed AS (
    INSERT INTO booking_platform.payment_events (receiver, stripe_event_id, type, api_version, object_id,
        stripe_session_id, stripe_payment_intent_id, payment_ref, outcome, created_at, processed_at)
    SELECT 'host', 'evt_bench_' || n, 'checkout.session.completed', '2023-10-16', 'cs_bench_' || n, 'cs_bench_' || n,
        'pi_bench_' || n, '` + paymentUUIDs + `' || n, 'processed', to_timestamp(1795000000),
        statement_timestamp() FROM told
    ON CONFLICT (receiver, stripe_event_id) DO NOTHING
    RETURNING right(stripe_event_id, 12) AS n
)`
)

func (b *bench) waiting(ctx context.Context, name string, events int) error {
	if _, err := b.track(ctx, name); err != nil {
		return err
	}
	db, err := sql.Open("postgres", b.server.url(name, true)+"&options=-c%20jit%3Doff")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	for _, insert := range addWaiting {
		if _, err := db.ExecContext(ctx, insert, events); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx,
		`VACUUM ANALYZE booking_platform.bookings, booking_platform.payments, booking_platform.booking_history`)
	return err
}

// copied runs f on a copy of a database, so that runs do not depend on each other.
func (b *bench) copied(ctx context.Context, of string, f func(name string) (float64, error)) (float64, error) {
	admin, err := b.server.admin("postgres")
	if err != nil {
		return 0, err
	}
	defer func() { _ = admin.Close() }()
	name := of + "_copy"
	if _, err := admin.ExecContext(ctx, `CREATE DATABASE `+name+` TEMPLATE `+of+` OWNER booking`); err != nil {
		return 0, err
	}
	defer func() { _ = b.server.drop(context.WithoutCancel(ctx), name) }()
	rate, err := f(name)
	if err != nil {
		return 0, err
	}
	return rate, b.settled(ctx, name)
}

// settled checks that each processed event has confirmed its booking.
func (b *bench) settled(ctx context.Context, name string) error {
	db, err := sql.Open("postgres", b.server.url(name, false))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var events, confirmed int
	if err := db.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM booking_platform.payment_events WHERE outcome = 'processed'),
		(SELECT count(*) FROM booking_platform.bookings WHERE status = 'confirmed')`).Scan(&events,
		&confirmed); err != nil {
		return err
	}
	if events == 0 || events != confirmed {
		return fmt.Errorf("%d events and %d confirmed bookings: increase BENCH_EVENTS if they ran out", events,
			confirmed)
	}
	return nil
}
