-- +goose Up
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- The largest table: by default six million of thirty million rows would be dead before a
-- vacuum. Retention deletes about a ninetieth of it each day.
ALTER TABLE booking_platform.payment_events SET (
    autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 5000);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('webhook', 3)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
