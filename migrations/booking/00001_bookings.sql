-- +goose Up
-- Give up on a lock after a few seconds, so that the migration does not queue the traffic
-- of a running service.
SET LOCAL lock_timeout = '5s';
-- The role's defaults may differ.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- A DBA may have created both for a role that may not. CREATE SCHEMA IF NOT EXISTS checks
-- the right first, so it runs only if the schema is missing.
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regnamespace('booking_platform') IS NULL THEN
        CREATE SCHEMA booking_platform;
    END IF;
    -- The extension is in public, because dropping it together with a schema would drop
    -- every exclusion constraint of the database that needs it.
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
    -- booking.Policy as JSON; the empty object is its zero value.
    policy                jsonb NOT NULL DEFAULT '{}',
    -- The longest life of a hold with extensions. The default is that of
    -- booking.Resource.
    hold_cap_seconds      integer NOT NULL DEFAULT 1209600,
    -- Changes with every change of the resource, its hours or its offers, by the triggers
    -- below. A hold names the version of its rules, so that a cached resource sells
    -- nothing by old rules. It is random, because a counter would reuse the number of a
    -- change that was rolled back.
    version               uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at            timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at            timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- Minutes after local midnight by the wall clock; closes may exceed 1440. Weekday 0 is
-- Sunday.
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
    IF NEW.capacity < OLD.capacity THEN
        -- Wait for holds under way, which lock the row FOR KEY SHARE; later ones find
        -- another version.
        PERFORM FROM booking_platform.resources r WHERE r.id = OLD.id FOR UPDATE;
    END IF;
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

-- Row triggers do not fire for TRUNCATE.
CREATE TRIGGER opening_hours_emptied AFTER TRUNCATE ON booking_platform.opening_hours
    FOR EACH STATEMENT EXECUTE FUNCTION booking_platform.opening_hours_changed();

-- Another length, price or grid of the same resource, with the same hours, units and
-- constraint.
CREATE TABLE booking_platform.offers (
    resource_id           uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    slug                  text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name                  text NOT NULL CHECK (name <> ''),
    position              integer NOT NULL,
    slot_seconds          integer NOT NULL CHECK (slot_seconds > 0),
    step_seconds          integer NOT NULL CHECK (step_seconds BETWEEN 60 AND 86400),
    buffer_before_seconds integer NOT NULL CHECK (buffer_before_seconds >= 0),
    buffer_after_seconds  integer NOT NULL CHECK (buffer_after_seconds >= 0),
    price_minor           bigint NOT NULL CHECK (price_minor >= 0),
    active                boolean NOT NULL DEFAULT true,
    PRIMARY KEY (resource_id, slug)
);

-- The intervals that begin on a date, instead of those of its weekday. One from 0 to 0
-- means closed.
CREATE TABLE booking_platform.opening_exceptions (
    resource_id   uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    on_date       date NOT NULL,
    opens_minute  integer NOT NULL CHECK (opens_minute BETWEEN 0 AND 1439),
    closes_minute integer NOT NULL CHECK (closes_minute BETWEEN 0 AND 2880),
    PRIMARY KEY (resource_id, on_date, opens_minute),
    CHECK (opens_minute = 0 AND closes_minute = 0 OR closes_minute > opens_minute AND closes_minute - opens_minute <= 1440)
);

-- These are rules too: a change renews the resource's version.
CREATE TRIGGER offers_changed AFTER INSERT OR UPDATE OR DELETE ON booking_platform.offers
    FOR EACH ROW EXECUTE FUNCTION booking_platform.opening_hours_changed();
CREATE TRIGGER offers_emptied AFTER TRUNCATE ON booking_platform.offers
    FOR EACH STATEMENT EXECUTE FUNCTION booking_platform.opening_hours_changed();
CREATE TRIGGER opening_exceptions_changed AFTER INSERT OR UPDATE OR DELETE ON booking_platform.opening_exceptions
    FOR EACH ROW EXECUTE FUNCTION booking_platform.opening_hours_changed();
CREATE TRIGGER opening_exceptions_emptied AFTER TRUNCATE ON booking_platform.opening_exceptions
    FOR EACH STATEMENT EXECUTE FUNCTION booking_platform.opening_hours_changed();

CREATE TABLE booking_platform.bookings (
    id              uuid PRIMARY KEY,
    resource_id     uuid NOT NULL REFERENCES booking_platform.resources (id),
    -- The units taken, of 1..capacity: a party of three is one row with three units.
    -- Units above 10000 belong to no resource; a booking that is relocated has them in
    -- between, because the constraint is checked row by row.
    units           int4multirange NOT NULL,
    party           integer NOT NULL CHECK (party >= 1),
    during          tstzrange NOT NULL CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)),
    -- during with its buffers; stored, because adding an interval to a timestamptz is not
    -- immutable.
    blocked         tstzrange NOT NULL CHECK (NOT isempty(blocked) AND lower_inc(blocked) AND NOT upper_inc(blocked) AND NOT upper_inf(blocked)),
    status          text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled', 'completed', 'no_show', 'expired')),
    -- Whether the booking has its units: completed bookings and no-shows until the buffer
    -- after the slot is over. The constraint's predicate uses this column and not status,
    -- so that a confirmation stays a HOT update, which changes no index.
    active          boolean GENERATED ALWAYS AS (
        status IN ('pending', 'confirmed') OR status IN ('completed', 'no_show') AND upper(blocked) > upper(during)) STORED,
    -- Whether the outcome of the booking is open.
    unsettled       boolean GENERATED ALWAYS AS (status IN ('pending', 'confirmed')) STORED,
    hold_expires_at timestamptz NOT NULL,
    first_name      text NOT NULL DEFAULT '',
    last_name       text NOT NULL DEFAULT '',
    email           text NOT NULL DEFAULT '',
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    currency        text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    reference       text NOT NULL DEFAULT '',
    idempotency_key text CHECK (idempotency_key <> ''),
    -- The SHA-256 of the customer's e-mail address in lower case, which scopes the key.
    -- NULL without a key.
    customer_hash   bytea,
    -- SHA-256 of the request: the same key with another request is an error.
    request_hash    bytea,
    metadata        jsonb NOT NULL DEFAULT '{}',
    reason          text NOT NULL DEFAULT '',
    -- booking, or block: units kept from sale.
    kind            text NOT NULL DEFAULT 'booking',
    -- The slug of the offer; empty for the resource's own slot.
    offer           text NOT NULL DEFAULT '',
    -- The resource's policy at the time of the hold.
    policy          jsonb NOT NULL DEFAULT '{}',
    -- Counts moves and cancellations: SEQUENCE of iCalendar.
    sequence        integer NOT NULL DEFAULT 0,
    -- The refund of its cancellation; NULL if there is none.
    refund_minor    bigint,
    -- The refund of a payment that arrives after the hold was cancelled. NULL means all
    -- of it.
    late_refund_minor bigint CHECK (late_refund_minor BETWEEN 0 AND amount_minor),
    -- What the owner token is made from besides the id: the id of a secret, and a nonce.
    -- Both are empty without a token.
    owner_secret    text NOT NULL DEFAULT '',
    owner_nonce     bytea,
    created_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    CHECK (blocked @> during),
    CONSTRAINT bookings_kind_known CHECK (kind IN ('booking', 'block')),
    CONSTRAINT bookings_refund_in_bounds CHECK (refund_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT bookings_owner_token_whole CHECK ((owner_secret = '') = (owner_nonce IS NULL)),
    CONSTRAINT bookings_units_known CHECK (NOT isempty(units) AND units <@ int4range(1, 20001)),
    CONSTRAINT bookings_no_overlap EXCLUDE USING gist (resource_id WITH =, blocked WITH &&, units WITH &&) WHERE (active)
) WITH (fillfactor = 70);

CREATE UNIQUE INDEX bookings_idempotency_key ON booking_platform.bookings (idempotency_key, customer_hash) WHERE idempotency_key IS NOT NULL;
CREATE INDEX bookings_reference ON booking_platform.bookings (reference, id) WHERE reference <> '';
CREATE INDEX bookings_by_resource ON booking_platform.bookings (resource_id, id);

-- No index contains status or updated_at, so that a confirmation stays a HOT update.
CREATE INDEX bookings_by_start ON booking_platform.bookings (lower(during), id);
CREATE INDEX bookings_by_resource_start ON booking_platform.bookings (resource_id, lower(during), id);
-- Not partial, although blocks have no address: the planner would lack statistics on how
-- often an address occurs.
CREATE INDEX bookings_by_email ON booking_platform.bookings (lower(email), id);
CREATE INDEX bookings_by_email_start ON booking_platform.bookings (lower(email), lower(during), id);
CREATE INDEX bookings_by_reference_start ON booking_platform.bookings (reference, lower(during), id) WHERE reference <> '';
-- For CompletePast. It contains neither completed bookings nor blocks.
CREATE INDEX bookings_by_end ON booking_platform.bookings (upper(during)) WHERE unsettled AND kind = 'booking';

-- When to check a hold: a work list beside bookings, whose hold_expires_at is the truth.
-- An index on that column would end the HOT updates. ReleaseExpired deletes a row when it
-- is due and its booking is settled. There is no foreign key, because its check would
-- lock the booking a second time for each hold.
CREATE TABLE booking_platform.hold_deadlines (
    due_at     timestamptz NOT NULL,
    booking_id uuid NOT NULL,
    -- The hold was confirmed free of charge, and keeps its numbers in hold_quota until it
    -- begins.
    free       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (due_at, booking_id)
);

-- Every change of a booking's status or time. Rows are never changed. There is no foreign
-- key, because its check would lock the booking a second time for each change.
CREATE TABLE booking_platform.booking_history (
    booking_id  uuid NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- Empty for a new booking.
    from_status text NOT NULL,
    to_status   text NOT NULL,
    -- The starts before and after; NULL if unchanged.
    from_start  timestamptz,
    to_start    timestamptz,
    actor       text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (booking_id, id)
);

-- The numbers of open holds and of upcoming bookings of amount 0: each takes a number
-- from 1 to the limit of each key that it counts for. The number of a hold that has ended
-- is taken by naming that hold in replaces.
CREATE TABLE booking_platform.hold_quota (
    -- email: one e-mail address from one client; client: one client; anywhere: one e-mail address from all clients.
    scope      text NOT NULL CHECK (scope IN ('email', 'client', 'anywhere')),
    -- SHA-256 of the e-mail address in lower case, of the client, or of both.
    key        bytea NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    booking_id uuid NOT NULL,
    replaces   uuid,
    PRIMARY KEY (scope, key, number)
);
CREATE INDEX hold_quota_booking ON booking_platform.hold_quota (booking_id);

-- Private calendars. The token in a feed's URL is stored as its HMAC under the secret
-- with this id, or as its SHA-256 if the id is empty.
CREATE TABLE booking_platform.calendar_feeds (
    token_hash  bytea PRIMARY KEY,
    secret      text NOT NULL DEFAULT '',
    resource_id uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT statement_timestamp()
);
CREATE INDEX calendar_feeds_resource ON booking_platform.calendar_feeds (resource_id);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
