-- +goose Up
-- Give up on a lock after a few seconds, so that the migration does not queue the traffic
-- of a running service.
SET LOCAL lock_timeout = '5s';
-- The role's defaults may differ.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- A payment is one Checkout Session. Its status is derived from facts that only
-- accumulate, so that repeated events in any order lead to the same row.
CREATE TABLE booking_platform.payments (
    id                       uuid PRIMARY KEY,
    booking_id               uuid NOT NULL REFERENCES booking_platform.bookings (id),
    stripe_session_id        text UNIQUE,
    stripe_payment_intent_id text,
    amount_minor             bigint NOT NULL CHECK (amount_minor > 0),
    currency                 text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    checkout_url             text NOT NULL DEFAULT '',
    -- The parameters of the session, stored before the first call: a repeat under the
    -- same idempotency key must send the same bytes.
    parameters               json NOT NULL,
    attempt                  integer NOT NULL DEFAULT 1,
    session_expires_at       timestamptz NOT NULL,
    leased_until             timestamptz,
    completed                boolean NOT NULL DEFAULT false,
    captured_minor           bigint NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
    -- What was received, possibly in another currency. Empty until then.
    captured_currency        text NOT NULL DEFAULT '',
    refunded_minor           bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    refund_committed         bigint NOT NULL DEFAULT 0,
    failed                   boolean NOT NULL DEFAULT false,
    expired                  boolean NOT NULL DEFAULT false,
    -- Sums over the payment's disputes, written together with them: their number, how
    -- many are open, and the amount lost.
    disputes                 integer NOT NULL DEFAULT 0,
    disputes_open            integer NOT NULL DEFAULT 0,
    dispute_lost_minor       bigint NOT NULL DEFAULT 0 CHECK (dispute_lost_minor >= 0),
    parked                   boolean NOT NULL DEFAULT false,
    parked_reason            text NOT NULL DEFAULT '',
    -- Why the payment was not applied to its booking and is refunded: it came too late,
    -- or twice. Empty if it was applied or has not arrived. Never removed.
    unapplied                text NOT NULL DEFAULT '',
    -- How often Stripe reported refunds that have no row here and have to be fetched.
    refunds_unknown          integer NOT NULL DEFAULT 0,
    -- The Stripe account and the mode of its key, such as live. Background steps process
    -- the payments of their own account. Empty matches every account.
    account                  text NOT NULL DEFAULT '',
    -- When a customer's page last made Stripe be asked, so that pages ask once in a few
    -- seconds over all replicas.
    page_read_at             timestamptz,
    -- When an answer of Stripe about the session first changed the payment: the record of
    -- a change without an event.
    asked_at                 timestamptz,
    created_at               timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at               timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- What can be refunded is what was received: an overpayment is refunded in full.
    CONSTRAINT payments_refunds_bounded CHECK (refund_committed BETWEEN 0 AND GREATEST(amount_minor, captured_minor))
) WITH (fillfactor = 70);

CREATE INDEX payments_booking ON booking_platform.payments (booking_id, id);
-- At most one session of a booking is open. The index is also the small one by which
-- steps find expired sessions: it contains no paid ones.
CREATE UNIQUE INDEX payments_open ON booking_platform.payments (booking_id) WHERE NOT completed AND NOT expired AND NOT failed;

-- Refunds and disputes refer to the PaymentIntent.
CREATE INDEX payments_intent ON booking_platform.payments (stripe_payment_intent_id) WHERE stripe_payment_intent_id IS NOT NULL;
-- Small: payments whose refunds have to be fetched.
CREATE INDEX payments_refunds_unknown ON booking_platform.payments (id) WHERE refunds_unknown > 0;
-- Small: payments by a delayed method, and those without an event so far.
CREATE INDEX payments_waiting ON booking_platform.payments (session_expires_at) WHERE captured_minor = 0 AND NOT expired AND NOT failed AND NOT parked;
-- For counting what needs attention. An ordinary payment or refund changes none of its
-- columns.
CREATE INDEX payments_attention ON booking_platform.payments (id) WHERE parked OR disputes_open > 0;

-- A refund is first an intention: a row, committed together with its reason. Stripe is
-- called later, under a lease; its answers, and refunds made at Stripe itself, are facts
-- of the row.
CREATE TABLE booking_platform.refunds (
    id               uuid PRIMARY KEY,
    payment_id       uuid NOT NULL REFERENCES booking_platform.payments (id),
    -- Who created the row. Causes are unique per origin, so that a caller's cause cannot
    -- collide with one of the package.
    origin           text NOT NULL DEFAULT 'payments' CHECK (origin IN ('payments', 'request', 'retry', 'stripe')),
    -- The reason, unique for each payment and origin: it prevents a second refund for the
    -- same reason even after Stripe has forgotten the idempotency key.
    cause            text NOT NULL CHECK (cause <> ''),
    -- The requested amount in minor units; 0 means all that was left. The amount may be
    -- lower by now.
    asked_minor      bigint NOT NULL DEFAULT 0 CHECK (asked_minor >= 0),
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    -- In the order in which they follow each other; a status never goes back.
    status           text NOT NULL CHECK (status IN ('due', 'pending', 'succeeded', 'failed', 'canceled')),
    stripe_refund_id text UNIQUE,
    -- Stripe's reason for a failure.
    failure          text NOT NULL DEFAULT '',
    reason           text NOT NULL DEFAULT '',
    actor            text NOT NULL DEFAULT '',
    -- The number of the idempotency key, and when it was first used: Stripe may forget it
    -- after a day.
    attempt          integer NOT NULL DEFAULT 1,
    first_called_at  timestamptz,
    tries            integer NOT NULL DEFAULT 0,
    last_error       text NOT NULL DEFAULT '',
    next_try_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    UNIQUE (payment_id, origin, cause)
);

-- It contains no settled refunds.
CREATE INDEX refunds_due ON booking_platform.refunds (next_try_at) WHERE status = 'due';
-- Small: refunds that Stripe or a bank refused, and those canceled at Stripe.
CREATE INDEX refunds_failed ON booking_platform.refunds (payment_id) WHERE status IN ('failed', 'canceled');
-- Small: refunds in progress.
CREATE INDEX refunds_pending ON booking_platform.refunds (created_at) WHERE status = 'pending';

-- A dispute at Stripe. Facts only accumulate, so that its events, repeated and in any
-- order, lead to the same row.
CREATE TABLE booking_platform.disputes (
    -- Stripe's id: dp_..., du_...
    id               text NOT NULL CHECK (id <> ''),
    payment_id       uuid NOT NULL REFERENCES booking_platform.payments (id),
    -- The disputed amount in minor units of currency; 0 if Stripe did not say, which
    -- means the whole payment.
    amount_minor     bigint NOT NULL CHECK (amount_minor >= 0),
    currency         text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    -- False for an inquiry (a warning_ status, and no money was moved).
    claimed          boolean NOT NULL DEFAULT false,
    withdrawn        boolean NOT NULL DEFAULT false,
    reinstated       boolean NOT NULL DEFAULT false,
    -- The amount moved, by its balance transactions, in minor units of the account's
    -- currency, which may differ: only the ratio of the two is used. 0 is unknown.
    withdrawn_minor  bigint NOT NULL DEFAULT 0 CHECK (withdrawn_minor >= 0),
    reinstated_minor bigint NOT NULL DEFAULT 0 CHECK (reinstated_minor >= 0),
    closed           boolean NOT NULL DEFAULT false,
    won              boolean NOT NULL DEFAULT false,
    lost             boolean NOT NULL DEFAULT false,
    -- Stripe's final status (won, lost, warning_closed, prevented, ...), and its reason.
    outcome          text NOT NULL DEFAULT '',
    reason           text NOT NULL DEFAULT '',
    -- When Stripe was last asked about it, by a step that runs while it is open.
    asked_at         timestamptz NOT NULL DEFAULT statement_timestamp(),
    created_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at       timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- A dispute belongs to one charge, and so to one payment. The payment comes first
    -- because disputes are read by it.
    PRIMARY KEY (payment_id, id)
);
CREATE INDEX disputes_open ON booking_platform.disputes (asked_at) WHERE NOT closed;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
