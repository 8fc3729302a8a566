-- +goose Up
-- Everything here is added and nothing is taken away: the program before this one works on beside it. Rows are not rewritten.
SET LOCAL lock_timeout = '5s';

-- The budgets of logins. A row that is missing is a full budget, and so is one whose full_at has passed.
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

-- Sessions of another version of their user have ended: it is raised when the user's sessions must end, a login under way included.
ALTER TABLE booking_platform.users ADD COLUMN version bigint NOT NULL DEFAULT 1;
-- Empty for sessions that no login has begun, and for users that have no versions.
ALTER TABLE booking_platform.sessions ADD COLUMN user_version text NOT NULL DEFAULT '';

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('auth', 2)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
