-- +goose Up
-- Give up on a lock after a few seconds, so that the migration does not queue the traffic
-- of a running service. CREATE TRIGGER waits for open transactions on its table.
SET LOCAL lock_timeout = '5s';
SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;

-- The changes that messages tell of are rows of the outbox, written by the statement that
-- makes the change: no round trip more, and none is missed, whatever program or version
-- makes it. Package bookingmail makes the messages of a row later.
-- +goose StatementBegin
CREATE FUNCTION booking_platform.booking_change_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booking_platform.messages (kind, reference, occurrence, data)
    VALUES ('booking.change', NEW.booking_id::text, NEW.id::text, jsonb_build_object(
        'what', CASE WHEN NEW.to_status = 'cancelled' THEN 'cancelled'
            WHEN NEW.from_status = 'confirmed' THEN 'moved' ELSE 'confirmed' END,
        'from', NEW.from_start, 'to', NEW.to_start))
    ON CONFLICT (reference, kind, occurrence) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Holds, expiries, notes and no-shows tell nothing. A note has no times.
CREATE TRIGGER booking_change_message AFTER INSERT ON booking_platform.booking_history FOR EACH ROW
WHEN ((NEW.to_status = 'confirmed' AND NEW.from_status IN ('', 'pending', 'expired'))
    OR (NEW.to_status = 'confirmed' AND NEW.from_status = 'confirmed' AND NEW.to_start IS NOT NULL)
    OR (NEW.to_status = 'cancelled' AND NEW.from_status = 'confirmed'))
EXECUTE FUNCTION booking_platform.booking_change_message();

-- A payment can be parked again after a decision, so the transaction is in the occurrence.
-- +goose StatementBegin
CREATE FUNCTION booking_platform.payment_change_message() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    what text := CASE WHEN NEW.unapplied <> '' THEN 'unapplied' ELSE 'parked' END;
BEGIN
    INSERT INTO booking_platform.messages (kind, reference, occurrence, data)
    VALUES ('payment.change', NEW.booking_id::text, what || ':' || NEW.id::text || ':' || pg_current_xact_id()::text,
        jsonb_build_object('what', what, 'payment', NEW.id))
    ON CONFLICT (reference, kind, occurrence) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER payment_change_message AFTER UPDATE ON booking_platform.payments FOR EACH ROW
WHEN ((NEW.parked AND NOT OLD.parked) OR (NEW.unapplied <> '' AND OLD.unapplied = ''))
EXECUTE FUNCTION booking_platform.payment_change_message();

CREATE TRIGGER payment_new_message AFTER INSERT ON booking_platform.payments FOR EACH ROW
WHEN (NEW.parked OR NEW.unapplied <> '')
EXECUTE FUNCTION booking_platform.payment_change_message();

-- +goose StatementBegin
CREATE FUNCTION booking_platform.refund_change_message() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    what text := CASE WHEN NEW.status IN ('failed', 'canceled') THEN 'refund_failed' ELSE 'refunded' END;
BEGIN
    INSERT INTO booking_platform.messages (kind, reference, occurrence, data)
    SELECT 'payment.change', p.booking_id::text, what || ':' || NEW.id::text,
        jsonb_build_object('what', what, 'payment', NEW.payment_id, 'refund', NEW.id)
    FROM booking_platform.payments p WHERE p.id = NEW.payment_id
    ON CONFLICT (reference, kind, occurrence) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER refund_change_message AFTER UPDATE ON booking_platform.refunds FOR EACH ROW
WHEN ((NEW.status IN ('pending', 'succeeded') AND OLD.status = 'due')
    OR (NEW.status IN ('failed', 'canceled') AND OLD.status NOT IN ('failed', 'canceled')))
EXECUTE FUNCTION booking_platform.refund_change_message();

CREATE TRIGGER refund_new_message AFTER INSERT ON booking_platform.refunds FOR EACH ROW
WHEN (NEW.status IN ('pending', 'succeeded', 'failed', 'canceled'))
EXECUTE FUNCTION booking_platform.refund_change_message();

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('bookingmail', 1)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
