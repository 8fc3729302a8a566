-- +goose Up
-- Added only: the program before this one works on beside it, and writes nothing here.
SET LOCAL lock_timeout = '5s';

ALTER TABLE booking_platform.payments
    -- When Stripe, asked about the Checkout Session, first said something that was applied: the record of what came about without an event.
    ADD COLUMN asked_at timestamptz;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 4)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
