-- +goose Up
-- A migration waits a few seconds for its locks and then gives up, so that it never queues the traffic of a
-- running service behind itself.
SET LOCAL lock_timeout = '5s';

-- A payment is one Checkout Session of ours. Its status is derived from facts that only grow, so that events in any
-- order, and repeated, end in the same row.
CREATE TABLE booking_platform.payments (
    id                       uuid PRIMARY KEY,
    booking_id               uuid NOT NULL REFERENCES booking_platform.bookings (id),
    stripe_session_id        text UNIQUE,
    stripe_payment_intent_id text,
    amount_minor             bigint NOT NULL CHECK (amount_minor > 0),
    currency                 text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    checkout_url             text NOT NULL DEFAULT '',
    -- What is sent to Stripe, frozen before the first call: a repeat under the same key must send the same bytes.
    parameters               json NOT NULL,
    attempt                  integer NOT NULL DEFAULT 1,
    session_expires_at       timestamptz NOT NULL,
    leased_until             timestamptz,
    completed                boolean NOT NULL DEFAULT false,
    captured_minor           bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    -- What came may be in another currency than what was asked for. Empty while nothing has come.
    captured_currency        text NOT NULL DEFAULT '',
    refunded_minor           bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    refund_committed         bigint NOT NULL DEFAULT 0 CHECK (refund_committed >= 0 AND refund_committed <= amount_minor),
    failed                   boolean NOT NULL DEFAULT false,
    expired                  boolean NOT NULL DEFAULT false,
    disputed                 boolean NOT NULL DEFAULT false,
    dispute_outcome          text NOT NULL DEFAULT '',
    parked                   boolean NOT NULL DEFAULT false,
    parked_reason            text NOT NULL DEFAULT '',
    created_at               timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at               timestamptz NOT NULL DEFAULT statement_timestamp()
) WITH (fillfactor = 70);

CREATE INDEX payments_booking ON booking_platform.payments (booking_id, id);
-- At most one Checkout Session of a booking can be open to payment. It is also the small index through which the steps find those whose
-- time has passed: what was paid is not in it.
CREATE UNIQUE INDEX payments_open ON booking_platform.payments (booking_id) WHERE NOT completed AND NOT expired AND NOT failed;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
