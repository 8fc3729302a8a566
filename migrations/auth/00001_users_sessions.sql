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

CREATE TABLE booking_platform.users (
    id            uuid PRIMARY KEY,
    -- In lower case and trimmed, so that one address is one user.
    email         text NOT NULL UNIQUE CHECK (email <> '' AND email = lower(email)),
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role <> ''),
    active        boolean NOT NULL DEFAULT true,
    -- Incremented to end the user's sessions, including a login in progress: sessions of
    -- another version are invalid.
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- user_id is text without a foreign key, because users may be in another table or another
-- system.
CREATE TABLE booking_platform.sessions (
    -- HMAC of the cookie's token under SESSION_SECRET: reading this table is not enough
    -- to log in.
    token_hash   bytea PRIMARY KEY,
    user_id      text NOT NULL CHECK (user_id <> ''),
    -- Empty for sessions that did not begin with a login, and for users without versions.
    user_version text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at   timestamptz NOT NULL
) WITH (fillfactor = 80);

-- The times have no index: last_seen_at is written often, and without one that is a HOT
-- update while the page has space. Deleting expired sessions scans the table, which
-- contains live sessions only.
CREATE INDEX sessions_user ON booking_platform.sessions (user_id);

-- The rate limits of logins, and of bookings in the host. A missing row is a full budget,
-- and so is one whose full_at has passed.
--
-- UNLOGGED: a crash, a failover and a restore empty the table, which gives an attacker a
-- few more attempts and locks no user out. In return a flood of attempts writes nothing
-- that is flushed to disk or waits for a standby.
CREATE UNLOGGED TABLE booking_platform.rate_limits (
    -- HMAC of what is limited, under SESSION_SECRET: the table reveals neither accounts
    -- nor addresses.
    key     bytea PRIMARY KEY,
    -- When the budget is full again if nothing more is taken.
    full_at timestamptz NOT NULL
) WITH (fillfactor = 80);

-- full_at has no index, so that each attempt is a HOT update.

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('auth', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
