-- +goose NO TRANSACTION
-- +goose Up
-- The events of an order, of a Checkout Session and of a PaymentIntent are looked up. An
-- index that was interrupted is built again.
SET lock_timeout = '2min';
SET statement_timeout = 0;

DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payment_events_reference;
CREATE INDEX CONCURRENTLY payment_events_reference ON booking_platform.payment_events (payment_ref)
    WHERE payment_ref <> '';
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payment_events_session;
CREATE INDEX CONCURRENTLY payment_events_session ON booking_platform.payment_events (stripe_session_id)
    WHERE stripe_session_id <> '';
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payment_events_intent;
CREATE INDEX CONCURRENTLY payment_events_intent ON booking_platform.payment_events (stripe_payment_intent_id)
    WHERE stripe_payment_intent_id <> '';

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('webhook', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
