-- +goose Up
-- A migration waits a few seconds for its locks and then gives up, so that it never queues the traffic of a
-- running service behind itself.
SET LOCAL lock_timeout = '5s';

-- Both may exist already, made by a DBA for a role that may not create them. CREATE SCHEMA IF NOT EXISTS asks for the
-- right before it looks, so it is asked for only where the schema is missing.
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regnamespace('booking_platform') IS NULL THEN
        CREATE SCHEMA booking_platform;
    END IF;
    -- The extension lives in public and not in our schema: dropped together with a schema, it takes every exclusion
    -- constraint of the database with it.
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'btree_gist') THEN
        CREATE EXTENSION btree_gist SCHEMA public;
    END IF;
END
$$;
-- +goose StatementEnd

CREATE TABLE IF NOT EXISTS booking_platform.schema_versions (
    set_name text PRIMARY KEY,
    version  integer NOT NULL
);

CREATE TABLE booking_platform.resources (
    id                    uuid PRIMARY KEY,
    slug                  text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name                  text NOT NULL CHECK (name <> ''),
    description           text NOT NULL DEFAULT '',
    time_zone             text NOT NULL CHECK (time_zone <> ''),
    capacity              integer NOT NULL CHECK (capacity BETWEEN 1 AND 10000),
    slot_seconds          integer NOT NULL CHECK (slot_seconds > 0),
    step_seconds          integer NOT NULL CHECK (step_seconds BETWEEN 60 AND 86400),
    buffer_before_seconds integer NOT NULL DEFAULT 0 CHECK (buffer_before_seconds >= 0),
    buffer_after_seconds  integer NOT NULL DEFAULT 0 CHECK (buffer_after_seconds >= 0),
    notice_seconds        integer NOT NULL DEFAULT 0 CHECK (notice_seconds >= 0),
    horizon_seconds       integer NOT NULL CHECK (horizon_seconds > 0),
    hold_seconds          integer NOT NULL CHECK (hold_seconds > 0),
    price_minor           bigint NOT NULL CHECK (price_minor >= 0),
    currency              text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    active                boolean NOT NULL DEFAULT true,
    -- Another one with every change of the resource or of its opening hours, whoever makes it: triggers below see to that. A hold
    -- names the version its rules were read at, so that a cached resource never sells a slot under rules that are gone. It is random
    -- and not a counter: a change that is rolled back would leave its number to the next one.
    version               uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at            timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at            timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- Wall-clock minutes after local midnight of the resource; closes may pass 1440 (open across midnight).
-- weekday 0 is Sunday.
CREATE TABLE booking_platform.opening_hours (
    resource_id    uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    weekday        smallint NOT NULL CHECK (weekday BETWEEN 0 AND 6),
    opens_minute   integer NOT NULL CHECK (opens_minute BETWEEN 0 AND 1439),
    closes_minute  integer NOT NULL CHECK (closes_minute BETWEEN 1 AND 2880),
    PRIMARY KEY (resource_id, weekday, opens_minute),
    CHECK (closes_minute > opens_minute AND closes_minute - opens_minute <= 1440)
);

-- +goose StatementBegin
CREATE FUNCTION booking_platform.resource_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := gen_random_uuid();
    NEW.updated_at := statement_timestamp();
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER resource_changed BEFORE UPDATE ON booking_platform.resources
    FOR EACH ROW EXECUTE FUNCTION booking_platform.resource_changed();

-- +goose StatementBegin
CREATE FUNCTION booking_platform.opening_hours_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE booking_platform.resources SET updated_at = statement_timestamp();
    ELSE
        UPDATE booking_platform.resources SET updated_at = statement_timestamp()
        WHERE id IN (OLD.resource_id, NEW.resource_id);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER opening_hours_changed AFTER INSERT OR UPDATE OR DELETE ON booking_platform.opening_hours
    FOR EACH ROW EXECUTE FUNCTION booking_platform.opening_hours_changed();

-- A row trigger does not see this one.
CREATE TRIGGER opening_hours_emptied AFTER TRUNCATE ON booking_platform.opening_hours
    FOR EACH STATEMENT EXECUTE FUNCTION booking_platform.opening_hours_changed();

CREATE TABLE booking_platform.bookings (
    id              uuid PRIMARY KEY,
    resource_id     uuid NOT NULL REFERENCES booking_platform.resources (id),
    -- Which of the resource's units 1..capacity are taken. A party of three is one row with three units.
    units           int4multirange NOT NULL CHECK (NOT isempty(units) AND units <@ int4range(1, 10001)),
    party           integer NOT NULL CHECK (party >= 1),
    during          tstzrange NOT NULL CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)),
    -- during with the buffers around it: stored, because adding an interval to a timestamptz is not immutable.
    blocked         tstzrange NOT NULL CHECK (NOT isempty(blocked) AND lower_inc(blocked) AND NOT upper_inc(blocked) AND NOT upper_inf(blocked)),
    status          text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled', 'completed', 'no_show', 'expired')),
    -- The constraint's predicate names this column and not status: a confirmation does not change it, and stays a HOT
    -- update that rewrites no index.
    active          boolean GENERATED ALWAYS AS (status IN ('pending', 'confirmed')) STORED,
    hold_expires_at timestamptz NOT NULL,
    first_name      text NOT NULL DEFAULT '',
    last_name       text NOT NULL DEFAULT '',
    email           text NOT NULL DEFAULT '',
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    currency        text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    reference       text NOT NULL DEFAULT '',
    idempotency_key text CHECK (idempotency_key <> ''),
    -- SHA-256 of what was asked for under the key: the same key with another request is an error, not another answer.
    request_hash    bytea,
    metadata        jsonb NOT NULL DEFAULT '{}',
    reason          text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    CHECK (blocked @> during),
    CONSTRAINT bookings_no_overlap EXCLUDE USING gist (resource_id WITH =, blocked WITH &&, units WITH &&) WHERE (active)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX bookings_idempotency_key ON booking_platform.bookings (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX bookings_reference ON booking_platform.bookings (reference, id) WHERE reference <> '';
CREATE INDEX bookings_by_resource ON booking_platform.bookings (resource_id, id);

-- When to look at a hold again. It is a list of work beside bookings, whose hold_expires_at stays the truth: an index there would
-- end the HOT update, and here a row is dropped by the sweep once it is due and its booking is settled.
-- Without a foreign key, whose check would lock the booking row a second time for each hold.
CREATE TABLE booking_platform.hold_deadlines (
    due_at     timestamptz NOT NULL,
    booking_id uuid NOT NULL,
    PRIMARY KEY (due_at, booking_id)
);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
