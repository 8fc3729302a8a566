-- +goose NO TRANSACTION
-- +goose Up
-- Indexes are built beside the traffic, which no transaction can do: each statement stands by itself, and a run that
-- failed is begun again from the first. Everything here waits for older transactions without keeping anybody waiting,
-- so it may wait longer than a file that locks a table, and a role's limit on the time of a request is not meant for it.
SET lock_timeout = '2min';
SET statement_timeout = 0;

-- Checks that 00002 added for new rows, now looked up for the rows that were there.
ALTER TABLE booking_platform.bookings VALIDATE CONSTRAINT bookings_kind_known;
ALTER TABLE booking_platform.bookings VALIDATE CONSTRAINT bookings_refund_in_bounds;
ALTER TABLE booking_platform.bookings VALIDATE CONSTRAINT bookings_units_known;

-- A build that was interrupted leaves an index that is kept up to date and never read: it is dropped before it is built
-- again. None of them names status or updated_at: a confirmation changes no index and stays a HOT update.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.bookings_by_start;
CREATE INDEX CONCURRENTLY bookings_by_start ON booking_platform.bookings (lower(during), id);

DROP INDEX CONCURRENTLY IF EXISTS booking_platform.bookings_by_resource_start;
CREATE INDEX CONCURRENTLY bookings_by_resource_start ON booking_platform.bookings (resource_id, lower(during), id);

DROP INDEX CONCURRENTLY IF EXISTS booking_platform.bookings_by_email;
CREATE INDEX CONCURRENTLY bookings_by_email ON booking_platform.bookings (lower(email), id) WHERE email <> '';

-- For the step that completes what is past: what it has completed is not in it any more, and blocks, which stay confirmed, never are.
DROP INDEX CONCURRENTLY IF EXISTS booking_platform.bookings_by_end;
CREATE INDEX CONCURRENTLY bookings_by_end ON booking_platform.bookings (upper(during)) WHERE active AND kind = 'booking';

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 3)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
