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

-- The outbox. A row is written in the transaction of the change that it tells of, and
-- sent later. It refers to no other table, so that the set works alone.
CREATE TABLE booking_platform.messages (
    -- The Message-ID of the mail is made from it, so it is not guessable.
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind            text NOT NULL CHECK (kind <> ''),
    -- What the message is about, such as the id of a booking.
    reference       text NOT NULL,
    -- Tells messages of one kind about one reference apart, such as the id of a change.
    occurrence      text NOT NULL,
    -- Empty if the address is read from the reference when the message is sent.
    recipient       text NOT NULL DEFAULT '',
    language        text NOT NULL DEFAULT '',
    data            jsonb NOT NULL DEFAULT '{}',
    -- expanded: other messages were made of it, and itself it is not sent.
    state           text NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'expanded', 'sent', 'refused', 'dropped')),
    -- Why the last attempt failed, or why it was dropped.
    reason          text NOT NULL DEFAULT '',
    attempts        integer NOT NULL DEFAULT 0,
    -- Attempts without a known result, because the process or the connection ended: the
    -- mail of each may have been accepted.
    uncertain      integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT statement_timestamp(),
    next_attempt_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    -- True during an attempt, whose lease ends at next_attempt_at.
    leased          boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT statement_timestamp(),
    settled_at      timestamptz,
    UNIQUE (reference, kind, occurrence),
    CHECK ((state = 'due') = (settled_at IS NULL))
);

-- It contains no settled messages.
CREATE INDEX messages_due ON booking_platform.messages (next_attempt_at) WHERE state = 'due';
-- For retention.
CREATE INDEX messages_settled ON booking_platform.messages (settled_at) WHERE settled_at IS NOT NULL;
-- Small: messages that an operator looks at.
CREATE INDEX messages_refused ON booking_platform.messages (settled_at) WHERE state = 'refused';
-- Small: messages that name their recipient, for its erasure.
CREATE INDEX messages_recipient ON booking_platform.messages (lower(recipient)) WHERE recipient <> '';

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('notify', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
