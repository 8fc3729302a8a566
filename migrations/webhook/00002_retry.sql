-- +goose NO TRANSACTION
-- +goose Up
-- An index is built beside the traffic, which no transaction can do: each statement stands by itself, and a run that failed is begun
-- again from the first.
SET lock_timeout = '5s';

-- When an event that waits is taken up again without a delivery. The default is the same for all rows that are there, and rewrites none.
ALTER TABLE booking_platform.payment_events
    ADD COLUMN IF NOT EXISTS retry_at timestamptz NOT NULL DEFAULT statement_timestamp() + interval '5 seconds';

SET lock_timeout = '2min';
SET statement_timeout = 0;

DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payment_events_retry;
CREATE INDEX CONCURRENTLY payment_events_retry ON booking_platform.payment_events (retry_at) WHERE outcome IN ('failed', 'unmatched');

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('webhook', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
