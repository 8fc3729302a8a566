-- +goose Up
-- Give up on a lock after a few seconds, so that the migration does not queue the traffic
-- of a running service.
SET LOCAL lock_timeout = '5s';
-- The role's defaults may differ.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- The oldest versions of the sets with which a program still works on this schema. A host
-- that has older ones does not start.
CREATE TABLE booking_platform.schema_floor (
    set_name text PRIMARY KEY,
    version  integer NOT NULL
);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('host', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
