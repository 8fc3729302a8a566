-- +goose Up
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- The defaults serve the previous binary, which names neither column. A constant default
-- rewrites no row, and NOT VALID reads none: the rows that exist have the defaults, and
-- the constraints apply to every later change.
ALTER TABLE booking_platform.bookings
    ADD COLUMN phone text NOT NULL DEFAULT '',
    ADD COLUMN note text NOT NULL DEFAULT '',
    ADD CONSTRAINT bookings_phone_bounded CHECK (phone ~ '^[0-9 +().-]{0,40}$') NOT VALID,
    ADD CONSTRAINT bookings_note_bounded CHECK (char_length(note) <= 1000) NOT VALID;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
