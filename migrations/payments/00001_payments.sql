-- +goose Up
-- A migration waits a few seconds for its locks and then gives up, so that it never queues the traffic of a
-- running service behind itself.
SET LOCAL lock_timeout = '5s';
-- The role's default may be another isolation, or read only.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

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
    refund_committed         bigint NOT NULL DEFAULT 0,
    failed                   boolean NOT NULL DEFAULT false,
    expired                  boolean NOT NULL DEFAULT false,
    -- Sums over the payment's rows in disputes, written together with them: how many there are,
    -- how many are open, and what lost ones took.
    disputes                 integer NOT NULL DEFAULT 0,
    disputes_open            integer NOT NULL DEFAULT 0,
    dispute_lost_minor       bigint NOT NULL DEFAULT 0 CHECK (dispute_lost_minor >= 0),
    parked                   boolean NOT NULL DEFAULT false,
    parked_reason            text NOT NULL DEFAULT '',
    -- Why the money was not applied to its booking and is to go back: it came too late, or
    -- twice. Empty when it was applied, or has not come. A fact like the others: it is never
    -- taken back.
    unapplied                text NOT NULL DEFAULT '',
    -- How often Stripe reported refunds that have no row here; they are to be looked up at
    -- Stripe. 0 is never.
    refunds_unknown          integer NOT NULL DEFAULT 0,
    -- Whose payment it is at Stripe: the name of the account and the mode of its key, such as
    -- live. Background steps take the payments of their own account. Empty is any account's.
    account                  text NOT NULL DEFAULT '',
    -- When a customer's page last had Stripe asked about it, so that pages ask once in a few
    -- seconds, on all replicas together.
    page_read_at             timestamptz,
    -- When Stripe, asked about the Checkout Session, first answered something that was applied:
    -- the record of a change that no event caused.
    asked_at                 timestamptz,
    created_at               timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at               timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- What may be given back is what came, not what was asked for: an overpayment goes back
    -- whole.
    CONSTRAINT payments_refunds_bounded CHECK (refund_committed BETWEEN 0 AND GREATEST(amount_minor, captured_minor))
) WITH (fillfactor = 70);

CREATE INDEX payments_booking ON booking_platform.payments (booking_id, id);
-- At most one Checkout Session of a booking can be open to payment. It is also the small index through which the steps find those whose
-- time has passed: what was paid is not in it.
CREATE UNIQUE INDEX payments_open ON booking_platform.payments (booking_id) WHERE NOT completed AND NOT expired AND NOT failed;

-- Refunds and disputes name the PaymentIntent alone.
CREATE INDEX payments_intent ON booking_platform.payments (stripe_payment_intent_id) WHERE stripe_payment_intent_id IS NOT NULL;
-- Small: a payment is in it until its refunds have been looked up.
CREATE INDEX payments_refunds_unknown ON booking_platform.payments (id) WHERE refunds_unknown > 0;
-- Small: payments that wait for a delayed method, and those no event has told of.
CREATE INDEX payments_waiting ON booking_platform.payments (session_expires_at) WHERE captured_minor = 0 AND NOT expired AND NOT failed AND NOT parked;
-- For counting what needs attention. It names no column that an ordinary payment or refund
-- changes, so that those updates write no more than before.
CREATE INDEX payments_attention ON booking_platform.payments (id) WHERE parked OR disputes_open > 0;

-- A refund is an intent first: a row, committed with the reason for it. Stripe is called later, under a lease, and what it answers, or
-- reports of a refund that somebody made there, is a fact of that row.
CREATE TABLE booking_platform.refunds (
    id               uuid PRIMARY KEY,
    payment_id       uuid NOT NULL REFERENCES booking_platform.payments (id),
    -- Who made the row. Each origin has causes of its own, so that a caller's cause never meets
    -- one of the package's.
    origin           text NOT NULL DEFAULT 'payments' CHECK (origin IN ('payments', 'request', 'retry', 'stripe')),
    -- Why, once for each payment and origin: what forbids a second refund for the same reason, next week too, when Stripe has forgotten the key.
    cause            text NOT NULL CHECK (cause <> ''),
    -- What was asked for, in minor units; 0 is all that was left. The amount can be lower by now.
    asked_minor      bigint NOT NULL DEFAULT 0 CHECK (asked_minor >= 0),
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
    UNIQUE (payment_id, origin, cause)
);

-- Of those that are settled none is in it.
CREATE INDEX refunds_due ON booking_platform.refunds (next_try_at) WHERE status = 'due';
-- Small: refunds that Stripe or a bank has refused, and those canceled at Stripe.
CREATE INDEX refunds_failed ON booking_platform.refunds (payment_id) WHERE status IN ('failed', 'canceled');
-- Small: refunds that are on their way.
CREATE INDEX refunds_pending ON booking_platform.refunds (created_at) WHERE status = 'pending';

-- A dispute at Stripe. Facts only grow, so that its events in any order, and repeated, end in
-- the same row; what became of it follows from them.
CREATE TABLE booking_platform.disputes (
    -- Stripe's id: dp_..., du_...
    id               text NOT NULL CHECK (id <> ''),
    payment_id       uuid NOT NULL REFERENCES booking_platform.payments (id),
    -- What is disputed, in minor units of currency. 0 when Stripe did not say: then it is all of the payment.
    amount_minor     bigint NOT NULL CHECK (amount_minor >= 0),
    currency         text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    -- False while Stripe has only called it an inquiry (a warning_ status, and no money moved).
    claimed          boolean NOT NULL DEFAULT false,
    withdrawn        boolean NOT NULL DEFAULT false,
    reinstated       boolean NOT NULL DEFAULT false,
    -- How much moved, by its balance transactions, in minor units of the account's currency,
    -- which may be another: only the ratio of the two is used. 0 is unknown.
    withdrawn_minor  bigint NOT NULL DEFAULT 0 CHECK (withdrawn_minor >= 0),
    reinstated_minor bigint NOT NULL DEFAULT 0 CHECK (reinstated_minor >= 0),
    closed           boolean NOT NULL DEFAULT false,
    won              boolean NOT NULL DEFAULT false,
    lost             boolean NOT NULL DEFAULT false,
    -- Stripe's status at the end (won, lost, warning_closed, prevented, ...), and its reason.
    outcome          text NOT NULL DEFAULT '',
    reason           text NOT NULL DEFAULT '',
    -- When Stripe was last asked about it, as a step does while it is open.
    asked_at         timestamptz NOT NULL DEFAULT statement_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- A dispute is of one charge, and so of one payment; the payment comes first because
    -- disputes are read by it.
    PRIMARY KEY (payment_id, id)
);
CREATE INDEX disputes_open ON booking_platform.disputes (asked_at) WHERE NOT closed;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
