-- +goose NO TRANSACTION
-- +goose Up
-- An index is built beside the traffic, which no transaction can do: each statement stands by itself, and a run that failed is begun
-- again from the first.
SET lock_timeout = '2min';
SET statement_timeout = 0;

-- For the step that drops old payloads: only settled events that have one are in it, so it is empty where payloads are not kept, and
-- what has been dropped is not looked at again.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payment_events_payloads;
CREATE INDEX CONCURRENTLY payment_events_payloads ON booking_platform.payment_events (received_at)
    WHERE payload IS NOT NULL AND outcome IN ('processed', 'ignored');

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('webhook', 3)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
