-- +goose Up
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- A constant default rewrites no row. Present bookings keep the empty number and are named
-- by their id. The constraints and the index read the table twice while bookings wait,
-- about a second for a million rows; no release has bookings yet.
ALTER TABLE booking_platform.bookings
    ADD COLUMN number   text NOT NULL DEFAULT '',
    ADD COLUMN language text NOT NULL DEFAULT '',
    ADD CONSTRAINT bookings_number_readable CHECK (number ~ '^([2-9A-HJKMNP-TV-Z]{8})?$'),
    ADD CONSTRAINT bookings_language_bounded CHECK (language ~ '^[A-Za-z0-9-]{0,35}$');

-- Every new booking gets a number, that of the previous binary too: eight characters that
-- can be read out, without those that look alike: no 0, O, 1, I, L and U.
ALTER TABLE booking_platform.bookings ALTER COLUMN number SET DEFAULT
    substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1)
    || substr('23456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + floor(random() * 30)::integer, 1);

-- Empty at first: no present booking has a number. A confirmation does not change the
-- number and stays a HOT update.
CREATE UNIQUE INDEX bookings_number ON booking_platform.bookings (number) WHERE number <> '';

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 4)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
