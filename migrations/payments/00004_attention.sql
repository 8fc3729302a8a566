-- +goose NO TRANSACTION
-- +goose Up
-- Indexes are built beside the traffic, which no transaction can do: each statement stands by itself, and a run that
-- failed is begun again from the first. See booking/00003_indexes.sql.
SET lock_timeout = '2min';
SET statement_timeout = 0;

-- For whoever counts what needs a person: small, since few payments are parked or disputed. It names no column that an ordinary payment
-- or refund changes, so that those updates write no more than before.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.payments_attention;
CREATE INDEX CONCURRENTLY payments_attention ON booking_platform.payments (id) WHERE parked OR (disputed AND dispute_outcome = '');

-- Small as well: refunds that Stripe or a bank has refused.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.refunds_failed;
CREATE INDEX CONCURRENTLY refunds_failed ON booking_platform.refunds (payment_id) WHERE status = 'failed';

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('payments', 4)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
