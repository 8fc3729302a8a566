-- +goose Up
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- By default a table is vacuumed when a fifth of it is dead, and its statistics are
-- renewed when a tenth has changed: of ten million bookings that is two million rows. The
-- settings take a lock that readers and writers do not wait for, and a binary of any
-- version works with them.
ALTER TABLE booking_platform.bookings SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000);
-- Rows are only added, until a customer is erased: a vacuum marks pages as visible to all
-- and freezes them while they are still in memory.
ALTER TABLE booking_platform.booking_history SET (
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 1000);
-- Work lists: rows live for minutes, and the next ones are looked for at the end where
-- they were deleted.
ALTER TABLE booking_platform.hold_deadlines SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_analyze_threshold = 500);
ALTER TABLE booking_platform.hold_quota SET (
    autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 5)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
