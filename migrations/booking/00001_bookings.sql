-- +goose Up
-- A migration waits a few seconds for its locks and then gives up, so that it never queues the traffic of a
-- running service behind itself.
SET LOCAL lock_timeout = '5s';
-- The role's default may be another isolation, or read only.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

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
    -- What a customer may cancel or move, and what it costs. The empty object is the zero
    -- value of booking.Policy.
    policy                jsonb NOT NULL DEFAULT '{}',
    -- How long a hold lasts at most, however often it is extended. The default is that of
    -- booking.Resource.
    hold_cap_seconds      integer NOT NULL DEFAULT 1209600,
    -- Changes with every change of the resource, its hours or its offers, by the triggers
    -- below. A hold names the version its rules were read at, so that a cached resource
    -- never sells a slot by rules that are gone. It is random and not a counter: a change
    -- that is rolled back would leave its number to the next one.
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
    IF NEW.capacity < OLD.capacity THEN
        -- Holds lock the row FOR KEY SHARE: those under way, by the larger capacity, are waited
        -- for, and those that come find another version.
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

-- A row trigger does not see this one.
CREATE TRIGGER opening_hours_emptied AFTER TRUNCATE ON booking_platform.opening_hours
    FOR EACH STATEMENT EXECUTE FUNCTION booking_platform.opening_hours_changed();

-- Another length, price or grid on the same resource: they share its opening hours, its units and its constraint.
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

-- What a date has instead of the hours of its weekday: the intervals that begin on it. One from 0 to 0 is closed.
CREATE TABLE booking_platform.opening_exceptions (
    resource_id   uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    on_date       date NOT NULL,
    opens_minute  integer NOT NULL CHECK (opens_minute BETWEEN 0 AND 1439),
    closes_minute integer NOT NULL CHECK (closes_minute BETWEEN 0 AND 2880),
    PRIMARY KEY (resource_id, on_date, opens_minute),
    CHECK (opens_minute = 0 AND closes_minute = 0 OR closes_minute > opens_minute AND closes_minute - opens_minute <= 1440)
);

-- They are rules like the opening hours: a change renews the resource's version.
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
    -- Which of the resource's units 1..capacity are taken. A party of three is one row with three units.
    -- Units above 10000 belong to no resource: a booking that changes its units passes through
    -- them, because a constraint looks at one row after the other.
    units           int4multirange NOT NULL,
    party           integer NOT NULL CHECK (party >= 1),
    during          tstzrange NOT NULL CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)),
    -- during with the buffers around it: stored, because adding an interval to a timestamptz is not immutable.
    blocked         tstzrange NOT NULL CHECK (NOT isempty(blocked) AND lower_inc(blocked) AND NOT upper_inc(blocked) AND NOT upper_inf(blocked)),
    status          text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled', 'completed', 'no_show', 'expired')),
    -- Whether the booking has its units. One that was completed or missed keeps them where a
    -- buffer follows its slot. The constraint's predicate names this column and not status: a
    -- confirmation does not change it, and stays a HOT update that rewrites no index.
    active          boolean GENERATED ALWAYS AS (
        status IN ('pending', 'confirmed') OR status IN ('completed', 'no_show') AND upper(blocked) > upper(during)) STORED,
    -- Whether it is not known yet what became of the booking.
    unsettled       boolean GENERATED ALWAYS AS (status IN ('pending', 'confirmed')) STORED,
    hold_expires_at timestamptz NOT NULL,
    first_name      text NOT NULL DEFAULT '',
    last_name       text NOT NULL DEFAULT '',
    email           text NOT NULL DEFAULT '',
    amount_minor    bigint NOT NULL CHECK (amount_minor >= 0),
    currency        text NOT NULL CHECK (currency ~ '^[a-z]{3}$'),
    reference       text NOT NULL DEFAULT '',
    idempotency_key text CHECK (idempotency_key <> ''),
    -- Whose key it is: the SHA-256 of the customer's e-mail address in lower case. NULL without a key.
    customer_hash   bytea,
    -- SHA-256 of what was asked for under the key: the same key with another request is an error, not another answer.
    request_hash    bytea,
    metadata        jsonb NOT NULL DEFAULT '{}',
    reason          text NOT NULL DEFAULT '',
    -- A block keeps units from being sold, for maintenance for example. It obeys the same
    -- constraint.
    kind            text NOT NULL DEFAULT 'booking',
    -- The slug of the offer it was sold as; empty for the resource's own slot.
    offer           text NOT NULL DEFAULT '',
    -- The resource's policy at the time of the hold: what was sold keeps its terms.
    policy          jsonb NOT NULL DEFAULT '{}',
    -- How often it was moved or cancelled: SEQUENCE in calendar files.
    sequence        integer NOT NULL DEFAULT 0,
    -- What its cancellation gives back; NULL while that is not decided.
    refund_minor    bigint,
    -- What goes back of money that comes after its hold was cancelled: its policy at that time,
    -- or what staff said. NULL is all of it.
    late_refund_minor bigint CHECK (late_refund_minor BETWEEN 0 AND amount_minor),
    -- What the token in the customer's link was made from, beside the booking's id: a secret,
    -- of which this is the id, and a nonce. Both are absent where there is no token.
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

-- None of these names status or updated_at: a confirmation changes no index and stays a HOT
-- update.
CREATE INDEX bookings_by_start ON booking_platform.bookings (lower(during), id);
CREATE INDEX bookings_by_resource_start ON booking_platform.bookings (resource_id, lower(during), id);
-- Not partial, though blocks have no address: the planner would not know how often an
-- address occurs.
CREATE INDEX bookings_by_email ON booking_platform.bookings (lower(email), id);
CREATE INDEX bookings_by_email_start ON booking_platform.bookings (lower(email), lower(during), id);
CREATE INDEX bookings_by_reference_start ON booking_platform.bookings (reference, lower(during), id) WHERE reference <> '';
-- For the step that completes past bookings: those it has completed are not in it, and
-- blocks, which stay confirmed, never are.
CREATE INDEX bookings_by_end ON booking_platform.bookings (upper(during)) WHERE unsettled AND kind = 'booking';

-- When to look at a hold again. It is a list of work beside bookings, whose hold_expires_at stays the truth: an index there would
-- end the HOT update, and here a row is dropped by the sweep once it is due and its booking is settled.
-- Without a foreign key, whose check would lock the booking row a second time for each hold.
CREATE TABLE booking_platform.hold_deadlines (
    due_at     timestamptz NOT NULL,
    booking_id uuid NOT NULL,
    -- The hold has been confirmed free of charge, and has numbers in hold_quota until it begins.
    free       boolean NOT NULL DEFAULT false,
    PRIMARY KEY (due_at, booking_id)
);

-- Every change of a booking's status or time: from, to, who, why, when. Rows are added and never changed. Without a foreign key,
-- whose check would lock the booking row a second time for each change.
CREATE TABLE booking_platform.booking_history (
    booking_id  uuid NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- Empty for a booking that is new.
    from_status text NOT NULL,
    to_status   text NOT NULL,
    -- When it begins, before and after; both only where that changed.
    from_start  timestamptz,
    to_start    timestamptz,
    actor       text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (booking_id, id)
);

-- The numbers of open holds, and of upcoming bookings that cost nothing: a hold takes one number from 1 to the limit of
-- each key that it counts for. The number of a hold that has ended is taken over by naming that hold in replaces.
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

-- Private calendar feeds. The token is in the feed's address. Here is its HMAC under the secret
-- of which this is the id, or its SHA-256 where the id is empty.
CREATE TABLE booking_platform.calendar_feeds (
    token_hash  bytea PRIMARY KEY,
    secret      text NOT NULL DEFAULT '',
    resource_id uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT statement_timestamp()
);
CREATE INDEX calendar_feeds_resource ON booking_platform.calendar_feeds (resource_id);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
