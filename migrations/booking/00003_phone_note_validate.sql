-- +goose Up
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- In a transaction of its own, because 00002 keeps readers out until it commits: this
-- reads the table while others read and write it.
ALTER TABLE booking_platform.bookings VALIDATE CONSTRAINT bookings_phone_bounded;
ALTER TABLE booking_platform.bookings VALIDATE CONSTRAINT bookings_note_bounded;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 3)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
