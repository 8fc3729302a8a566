-- +goose Up
-- A migration waits a few seconds for its locks and then gives up, so that it never queues the traffic of a
-- running service behind itself.
SET LOCAL lock_timeout = '5s';
-- The role's default may be another isolation, or read only.
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- The schema may exist already, made by a DBA for a role that may not create it.
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
    -- Lower case and trimmed by the code that writes it, so that one address is one user.
    email         text NOT NULL UNIQUE CHECK (email <> '' AND email = lower(email)),
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role <> ''),
    active        boolean NOT NULL DEFAULT true,
    -- Raised when the user's sessions must end, a login under way included: sessions of
    -- another version have ended.
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT statement_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- user_id is text without a foreign key: the users may be somebody else's, in another table or another system.
CREATE TABLE booking_platform.sessions (
    -- HMAC of the cookie's token under SESSION_SECRET: who reads this table cannot log in with it.
    token_hash   bytea PRIMARY KEY,
    user_id      text NOT NULL CHECK (user_id <> ''),
    -- Empty for sessions that no login has begun, and for users that have no versions.
    user_version text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL DEFAULT statement_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    expires_at   timestamptz NOT NULL
) WITH (fillfactor = 80);

-- There is no index on the times. last_seen_at is written again and again for as long as a session lives: unindexed, and with some
-- room left on its page, that is a HOT update. Clearing away what has expired reads the table, which holds live sessions only.
CREATE INDEX sessions_user ON booking_platform.sessions (user_id);

-- The budgets of logins, and those of bookings in the host. A row that is missing is a full budget, and so is one whose full_at has passed.
--
-- UNLOGGED: a crash, a failover and a restore leave the table empty, and every budget begins anew, which gives whoever guesses a few tries more
-- and keeps nobody out. In return a flood of guesses writes nothing that is flushed to disk or waits for a standby.
CREATE UNLOGGED TABLE booking_platform.rate_limits (
    -- HMAC of what is limited, under SESSION_SECRET: who reads this table does not learn who tries to log in, nor from where.
    key     bytea PRIMARY KEY,
    -- When the budget is full again if nothing more is taken from it.
    full_at timestamptz NOT NULL
) WITH (fillfactor = 80);

-- There is no index on full_at: it is written with each attempt, and unindexed, with room on its page, that is a HOT update.

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('auth', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
