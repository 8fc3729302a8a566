-- +goose Up
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- What a payment is: a Checkout Session of this package, a PaymentIntent that the
-- embedder made and Payments.Adopt bound to a booking, or money at the desk. A binary
-- that does not know the column inserts Checkout Sessions only.
ALTER TABLE booking_platform.payments
    ADD COLUMN kind          text NOT NULL DEFAULT 'checkout',
    -- Of an adopted PaymentIntent: its charges by a delayed method that are processing,
    -- and those that failed, by id. A failed one never becomes processing again, so that
    -- the order of events does not matter.
    ADD COLUMN charge_states jsonb NOT NULL DEFAULT '{}',
    -- Of money at the desk: how it was paid, the caller's reference, and who recorded it.
    ADD COLUMN method        text NOT NULL DEFAULT '',
    ADD COLUMN reference     text NOT NULL DEFAULT '',
    ADD COLUMN actor         text NOT NULL DEFAULT '';

-- Not validated: present rows have the default.
ALTER TABLE booking_platform.payments
    ADD CONSTRAINT payments_kind CHECK (kind IN ('checkout', 'intent', 'desk')
        AND (kind <> 'intent' OR stripe_payment_intent_id IS NOT NULL)
        AND (kind <> 'desk' OR (stripe_session_id IS NULL AND stripe_payment_intent_id IS NULL))) NOT VALID;

-- A PaymentIntent is adopted once, and a booking has one payment at the desk. The
-- indexes scan the table once each while payments wait: they are empty, and no release
-- has payments yet.
CREATE UNIQUE INDEX payments_adopted ON booking_platform.payments (stripe_payment_intent_id) WHERE kind = 'intent';
CREATE UNIQUE INDEX payments_desk ON booking_platform.payments (booking_id) WHERE kind = 'desk';
-- Small: adopted PaymentIntents that can be cancelled.
CREATE INDEX payments_intents_open ON booking_platform.payments (session_expires_at)
    WHERE kind = 'intent' AND NOT expired AND captured_minor = 0;

-- A refund of money at the desk is due until staff record that they have paid it. Its
-- next_try_at is out of reach, so that a binary that does not know by_hand never sends
-- it to Stripe.
ALTER TABLE booking_platform.refunds
    ADD COLUMN by_hand    boolean NOT NULL DEFAULT false,
    ADD COLUMN reference  text NOT NULL DEFAULT '',
    ADD COLUMN settled_by text NOT NULL DEFAULT '';

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
