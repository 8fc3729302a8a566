package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Subject is the events of one person: about one of the ids, or with one of the addresses
// in the payload.
type Subject struct {
	// SessionIDs, PaymentIntentIDs and References are those of an [Entry].
	SessionIDs, PaymentIntentIDs, References []string
	// Addresses are e-mail addresses, compared without case.
	Addresses []string
	// Texts are further texts that [Redact] blanks, such as the name.
	Texts []string
}

// Name returns the receiver's name: see Options.Name.
func (l *Ledger) Name() string { return l.name }

// subjectSQL selects a subject's stored payloads. Each part reads a partial index of
// events that have a payload or are not settled. A payload has an address if it contains
// it as it is, or as JSON with escapes; Go then looks closely.
const subjectSQL = `
WITH wanted AS MATERIALIZED (
	SELECT (SELECT coalesce(array_agg(s), '{}') FROM jsonb_array_elements_text($2::jsonb) AS s) AS sessions,
		(SELECT coalesce(array_agg(s), '{}') FROM jsonb_array_elements_text($3::jsonb) AS s) AS intents,
		(SELECT coalesce(array_agg(s), '{}') FROM jsonb_array_elements_text($4::jsonb) AS s) AS refs,
		(SELECT coalesce(array_agg(lower(s)), '{}') FROM jsonb_array_elements_text($5::jsonb) AS s) AS texts
), stored AS (
	SELECT e.stripe_event_id, e.outcome, e.reason, e.payload, e.last_error, e.stripe_session_id,
		e.stripe_payment_intent_id, e.payment_ref, e.received_at
	FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.outcome IN ('failed', 'unmatched', 'parked')
	UNION ALL
	SELECT e.stripe_event_id, e.outcome, e.reason, e.payload, e.last_error, e.stripe_session_id,
		e.stripe_payment_intent_id, e.payment_ref, e.received_at
	FROM booking_platform.payment_events e
	WHERE e.receiver = $1::text AND e.payload IS NOT NULL AND e.outcome IN ('processed', 'ignored')
)
SELECT e.stripe_event_id, coalesce(e.payload, ''), e.last_error, ` + finalSQL + `,
	e.stripe_session_id = ANY (w.sessions) OR e.stripe_payment_intent_id = ANY (w.intents)
		OR e.payment_ref = ANY (w.refs)
FROM stored e, wanted w
WHERE e.stripe_session_id = ANY (w.sessions) OR e.stripe_payment_intent_id = ANY (w.intents)
	OR e.payment_ref = ANY (w.refs)
	OR EXISTS (SELECT FROM unnest(w.texts) AS t WHERE position(t IN lower(e.payload)) > 0
		OR position(t IN lower(e.last_error)) > 0)
ORDER BY e.received_at, e.stripe_event_id`

// finalSQL: no retry and no other replica claims the event.
const finalSQL = `(e.outcome = 'processed' OR e.outcome = 'ignored' AND NOT (` + skippedSQL + `))`

type storedEvent struct {
	id, payload, lastError string
	// final: the event is not claimed again. named: it is about one of the ids.
	final, named bool
}

func (l *Ledger) storedOf(ctx context.Context, s Subject) (out []storedEvent, err error) {
	var texts []string
	for _, address := range s.Addresses {
		if address == "" {
			continue
		}
		// Escapes have a case of their own, and lower() may know ASCII alone.
		for _, form := range []string{address, strings.ToLower(address), strings.ToUpper(address)} {
			texts = append(texts, form, asciiJSON(form))
		}
	}
	rows, err := l.q.QueryContext(ctx, subjectSQL, l.name, textArray(s.SessionIDs), textArray(s.PaymentIntentIDs),
		textArray(s.References), textArray(texts))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e storedEvent
		if err := rows.Scan(&e.id, &e.payload, &e.lastError, &e.final, &e.named); err != nil {
			return nil, err
		}
		if e.named || slices.ContainsFunc(s.Addresses, func(address string) bool {
			return mentionsJSON([]byte(e.payload), address) || mentions(e.lastError, address)
		}) {
			out = append(out, e)
		}
	}
	return out, rows.Err()
}

// textArray leaves out empty texts, which an event without an id has too.
func textArray(texts []string) string {
	known := make([]string, 0, len(texts))
	for _, text := range texts {
		if text != "" && utf8.ValidString(text) && !strings.Contains(text, "\x00") {
			known = append(known, text)
		}
	}
	// Strings cannot fail.
	text, _ := json.Marshal(known)
	return string(text)
}

const eraseEventSQL = `
UPDATE booking_platform.payment_events SET payload = $4::text, last_error = ''
WHERE receiver = $1::text AND stripe_event_id = $2::text AND coalesce(payload, '') = $3::text`

// EraseOptions adjust [Ledger.Erase].
type EraseOptions struct {
	// DryRun changes nothing and counts what would be erased.
	DryRun bool
}

// Erase removes a person from the stored payloads of a subject's events, and the errors
// recorded with them, and returns how many events changed. The payload of an event that
// is settled for good is deleted; that of one which may be retried or replayed is
// redacted by [Redact], and so can still be processed. Ids, outcomes and times stay. A
// repetition changes nothing.
//
// It reads the events with a payload, those of the last days and those that are not
// settled; one statement for each that changes. Safe on several replicas. An event that
// arrives later is stored as it comes, unless Options.Erased says otherwise.
func (l *Ledger) Erase(ctx context.Context, s Subject, opts EraseOptions) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	found, err := l.storedOf(ctx, s)
	if err != nil {
		return 0, fmt.Errorf("webhook: find a person's events: %w", err)
	}
	erased := 0
	for _, e := range found {
		var payload *string
		if !e.final && e.payload != "" {
			text := string(Redact([]byte(e.payload), slices.Concat(s.Addresses, s.Texts)...))
			payload = &text
		}
		if e.lastError == "" && (payload == nil && e.payload == "" || payload != nil && *payload == e.payload) {
			continue
		}
		if opts.DryRun {
			erased++
			continue
		}
		res, err := l.q.ExecContext(ctx, eraseEventSQL, l.name, e.id, e.payload, payload)
		if err != nil {
			return erased, fmt.Errorf("webhook: erase a person from %s: %w", e.id, err)
		}
		n, err := res.RowsAffected()
		if err != nil {
			return erased, fmt.Errorf("webhook: erase a person from %s: %w", e.id, err)
		}
		erased += int(n)
	}
	return erased, nil
}

// Records returns the stored events of a subject with their payloads, oldest first: what
// [Ledger.Erase] would change, or has redacted. One round trip, and one for each event.
func (l *Ledger) Records(ctx context.Context, s Subject) ([]Record, error) {
	if l.err != nil {
		return nil, l.err
	}
	found, err := l.storedOf(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("webhook: find a person's events: %w", err)
	}
	var out []Record
	for _, e := range found {
		record, err := l.Find(ctx, e.id)
		if err != nil {
			return nil, err
		}
		out = append(out, record)
	}
	return out, nil
}
