-- +goose Up
-- Everything here is added: the program before this one works on beside it, and makes no refunds.
SET LOCAL lock_timeout = '5s';

ALTER TABLE booking_platform.payments
    -- Why the money was not applied to its booking, and is to go back: it came too late, or twice. Empty when it was applied, or
    -- has not come. A fact like the others: it is never taken back.
    ADD COLUMN unapplied text NOT NULL DEFAULT '',
    -- How often something was heard of refunds that no row here tells of; they are to be looked up at Stripe. 0 is never.
    ADD COLUMN refunds_unknown integer NOT NULL DEFAULT 0,
    -- What may be given back is what came, not what was asked for: who paid too much gets all of it.
    DROP CONSTRAINT payments_check,
    ADD CONSTRAINT payments_refunds_bounded CHECK (refund_committed BETWEEN 0 AND GREATEST(amount_minor, captured_minor)) NOT VALID;

-- A refund is an intent first: a row, committed with the reason for it. Stripe is called later, under a lease, and what it answers, or
-- reports of a refund that somebody made there, is a fact of that row.
CREATE TABLE booking_platform.refunds (
    id               uuid PRIMARY KEY,
    payment_id       uuid NOT NULL REFERENCES booking_platform.payments (id),
    -- Why, once for each payment: what forbids a second refund for the same reason, next week too, when Stripe has forgotten the key.
    cause            text NOT NULL CHECK (cause <> ''),
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    -- In the order in which they follow each other; a status never goes back.
    status           text NOT NULL CHECK (status IN ('due', 'pending', 'succeeded', 'failed', 'canceled')),
    stripe_refund_id text UNIQUE,
    -- What Stripe says of one that failed.
    failure          text NOT NULL DEFAULT '',
    reason           text NOT NULL DEFAULT '',
    actor            text NOT NULL DEFAULT '',
    -- The number of the idempotency key, and when it was first used: Stripe may forget it after a day.
    attempt          integer NOT NULL DEFAULT 1,
    first_called_at  timestamptz,
    tries            integer NOT NULL DEFAULT 0,
    last_error       text NOT NULL DEFAULT '',
    next_try_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    UNIQUE (payment_id, cause)
);

-- Of those that are settled none is in it.
CREATE INDEX refunds_due ON booking_platform.refunds (next_try_at) WHERE status = 'due';

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
