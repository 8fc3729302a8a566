-- +goose NO TRANSACTION
-- +goose Up
-- Indexes are built beside the traffic, which no transaction can do: each statement stands by itself, and a run that
-- failed is begun again from the first. See booking/00003_indexes.sql.
SET lock_timeout = '2min';
SET statement_timeout = 0;

ALTER TABLE booking_platform.payments VALIDATE CONSTRAINT payments_refunds_bounded;

-- Refunds and disputes name the PaymentIntent alone.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payments_intent;
CREATE INDEX CONCURRENTLY payments_intent ON booking_platform.payments (stripe_payment_intent_id) WHERE stripe_payment_intent_id IS NOT NULL;

-- Small: a payment is in it until its refunds have been looked up.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payments_refunds_unknown;
CREATE INDEX CONCURRENTLY payments_refunds_unknown ON booking_platform.payments (id) WHERE refunds_unknown > 0;

-- Small as well: what a delayed method keeps waiting, or nobody has heard of.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payments_waiting;
CREATE INDEX CONCURRENTLY payments_waiting ON booking_platform.payments (session_expires_at) WHERE captured_minor = 0 AND NOT expired AND NOT failed AND NOT parked;

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 3)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
