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

-- The ledger: one row for each receiver and verified Stripe event, whatever its outcome.
CREATE TABLE booking_platform.payment_events (
    -- The receiver's name: two services on one database, each with an endpoint at Stripe,
    -- get the same event ids.
    receiver                 text NOT NULL CHECK (receiver <> ''),
    stripe_event_id          text NOT NULL,
    type                     text NOT NULL,
    api_version              text NOT NULL DEFAULT '',
    account                  text NOT NULL DEFAULT '',
    livemode                 boolean NOT NULL DEFAULT false,
    object_id                text NOT NULL DEFAULT '',
    stripe_session_id        text NOT NULL DEFAULT '',
    stripe_payment_intent_id text NOT NULL DEFAULT '',
    payment_ref              text NOT NULL DEFAULT '',
    outcome                  text NOT NULL CHECK (outcome IN ('processed', 'ignored', 'unmatched', 'parked', 'failed')),
    -- Why it is ignored: no_handler, test_mode, live_mode or other_account, as seen by
    -- the replica that received it. A replica of the same receiver that has a handler
    -- processes it.
    reason                   text NOT NULL DEFAULT '' CHECK ((reason <> '') = (outcome = 'ignored')),
    attempts                 integer NOT NULL DEFAULT 1,
    last_error               text NOT NULL DEFAULT '',
    -- The body as signed, as text, so that a replay has the same bytes. NULL for
    -- processed events, and later for ignored ones.
    payload                  text,
    -- When Stripe created the event, when it was first received, and when it was settled;
    -- NULL while it is failed or unmatched.
    created_at               timestamptz,
    received_at              timestamptz NOT NULL DEFAULT statement_timestamp(),
    processed_at             timestamptz,
    -- When the event is retried without a delivery.
    retry_at                 timestamptz NOT NULL DEFAULT statement_timestamp() + interval '5 seconds',
    PRIMARY KEY (receiver, stripe_event_id)
);

-- The ledger is listed newest first.
CREATE INDEX payment_events_received ON booking_platform.payment_events (receiver, received_at DESC, stripe_event_id DESC);
-- For events to be retried, by outcome. It contains no processed ones.
CREATE INDEX payment_events_waiting ON booking_platform.payment_events (receiver, outcome, received_at)
    WHERE outcome IN ('failed', 'unmatched', 'parked');
CREATE INDEX payment_events_retry ON booking_platform.payment_events (receiver, outcome, retry_at) WHERE outcome IN ('failed', 'unmatched');
-- For a replica that looks for events which another one had no handler for. It looks for
-- the types it handles, so events that no replica handles stay in this index while they
-- have a payload, and are never read.
CREATE INDEX payment_events_passed_over ON booking_platform.payment_events (receiver, type, livemode, account)
    WHERE outcome = 'ignored' AND reason IN ('no_handler', 'test_mode', 'live_mode', 'other_account') AND payload IS NOT NULL;
-- For the step that drops old payloads: it contains only settled events that have one.
CREATE INDEX payment_events_payloads ON booking_platform.payment_events (receiver, received_at)
    WHERE payload IS NOT NULL AND outcome IN ('processed', 'ignored');

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('webhook', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
