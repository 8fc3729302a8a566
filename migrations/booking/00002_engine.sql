-- +goose Up
-- Everything here is added and nothing is taken away: the program before this one works on beside it. Rows are not
-- rewritten, and checks are not looked up for rows that exist: they hold for new ones at once, and 00003 validates them.
SET LOCAL lock_timeout = '5s';

ALTER TABLE booking_platform.resources
    -- What a customer may cancel or move, and what it costs. The empty object is the zero value of booking.Policy.
    ADD COLUMN policy jsonb NOT NULL DEFAULT '{}',
    -- How long a hold lasts at most, however often it is extended. The default is what booking.Resource gives.
    ADD COLUMN hold_cap_seconds integer NOT NULL DEFAULT 1209600;

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

ALTER TABLE booking_platform.bookings
    -- A block keeps units from being sold, for maintenance say. It obeys the same constraint.
    ADD COLUMN kind text NOT NULL DEFAULT 'booking',
    -- The slug of the offer it was sold as; empty for the resource's own slot.
    ADD COLUMN offer text NOT NULL DEFAULT '',
    -- The resource's policy at the time of the hold: what was sold keeps its terms.
    ADD COLUMN policy jsonb NOT NULL DEFAULT '{}',
    -- How often it was moved or cancelled: SEQUENCE in calendar files.
    ADD COLUMN sequence integer NOT NULL DEFAULT 0,
    -- What its cancellation gives back; NULL while nobody has decided.
    ADD COLUMN refund_minor bigint,
    -- SHA-256 of the token in the customer's link, and how many links were taken back before it.
    ADD COLUMN owner_token_hash bytea,
    ADD COLUMN owner_token_number integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT bookings_kind_known CHECK (kind IN ('booking', 'block')) NOT VALID,
    ADD CONSTRAINT bookings_refund_in_bounds CHECK (refund_minor BETWEEN 0 AND amount_minor) NOT VALID,
    DROP CONSTRAINT bookings_units_check,
    -- Units above 10000 are nobody's: who changes seats passes through them, because a constraint looks at one row after the other.
    ADD CONSTRAINT bookings_units_known CHECK (NOT isempty(units) AND units <@ int4range(1, 20001)) NOT VALID;

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

-- One row for each open hold that a customer, or a client address, may have: whoever gets the number n of a key has one of at most n.
-- The number of a hold that has ended is taken over by naming that hold in replaces.
CREATE TABLE booking_platform.hold_quota (
    scope      text NOT NULL CHECK (scope IN ('email', 'client')),
    key        text NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    booking_id uuid NOT NULL,
    replaces   uuid,
    PRIMARY KEY (scope, key, number)
);
CREATE INDEX hold_quota_booking ON booking_platform.hold_quota (booking_id);

-- Private calendar feeds. The token is in the feed's address, and only its SHA-256 is here.
CREATE TABLE booking_platform.calendar_feeds (
    token_hash  bytea PRIMARY KEY,
    resource_id uuid NOT NULL REFERENCES booking_platform.resources (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT statement_timestamp()
);
CREATE INDEX calendar_feeds_resource ON booking_platform.calendar_feeds (resource_id);

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
