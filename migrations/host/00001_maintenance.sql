-- +goose Up
-- Give up on a lock after a few seconds, so that the migration does not queue the traffic
-- of a running service.
SET LOCAL lock_timeout = '5s';
-- The role's defaults may differ.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- A DBA may have created the schema for a role that may not.
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regnamespace('booking_platform') IS NULL THEN
        CREATE SCHEMA booking_platform;
    END IF;
END
$$;
-- +goose StatementEnd

CREATE TABLE IF NOT EXISTS booking_platform.schema_versions (
    set_name text PRIMARY KEY,
    version  integer NOT NULL
);

-- The switch of the reference host: while it has a row, hosts sell nothing and change
-- nothing.
CREATE TABLE booking_platform.maintenance (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    since  timestamptz NOT NULL DEFAULT statement_timestamp(),
    reason text NOT NULL DEFAULT ''
);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('host', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
