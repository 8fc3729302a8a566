package notify

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// ErrNotFound means that there is no such message.
var ErrNotFound = errors.New("message not found")

// ListOptions select messages; the zero value selects the newest.
type ListOptions struct {
	State     State
	Kind      string
	Reference string
	// Limit is at most 500; 0 means 50.
	Limit int
}

const listSQL = `
SELECT` + messageColumns + `
FROM booking_platform.messages m
WHERE ($1::text = '' OR m.state = $1::text) AND ($2::text = '' OR m.kind = $2::text)
	AND ($3::text = '' OR m.reference = $3::text)
ORDER BY m.created_at DESC, m.id LIMIT $4::integer`

// List returns messages, newest first. One round trip; without a reference it reads the
// whole table, so it is for operators.
func (s *Store) List(ctx context.Context, opts ListOptions) ([]Message, error) {
	limit := cmp.Or(opts.Limit, 50)
	if limit < 1 || limit > 500 {
		return nil, errors.New("notify: list: the limit must be between 1 and 500")
	}
	return read(ctx, s, "list", func(q pg.Querier) ([]Message, error) {
		rows, err := q.QueryContext(ctx, listSQL, string(opts.State), opts.Kind, opts.Reference, limit)
		if err != nil {
			return nil, err
		}
		return scanMessages(rows)
	})
}

const getSQL = `SELECT` + messageColumns + ` FROM booking_platform.messages m WHERE m.id = $1::uuid`

// Get returns a message by its id, or [ErrNotFound]. One round trip.
func (s *Store) Get(ctx context.Context, id string) (Message, error) {
	if !isID(id) {
		return Message{}, fmt.Errorf("notify: get: %w", ErrNotFound)
	}
	return read(ctx, s, "get", func(q pg.Querier) (Message, error) {
		m, err := scanMessage(q.QueryRowContext(ctx, getSQL, id))
		if errors.Is(err, sql.ErrNoRows) {
			err = ErrNotFound
		}
		return m, err
	})
}

// Preview composes a message as if it were sent now, and sends nothing. The error is a
// [*DropError] if it would be dropped, and [ErrNotFound] if this store does not compose its
// kind.
func (s *Store) Preview(ctx context.Context, m Message) (Mail, error) {
	kind := s.opts.Kinds[m.Kind]
	if kind.Compose == nil {
		return Mail{}, fmt.Errorf("notify: preview: no kind %q: %w", m.Kind, ErrNotFound)
	}
	mail, err := kind.Compose(ctx, m)
	mail.To = cmp.Or(mail.To, m.Recipient)
	mail.MessageID = m.MessageID(s.opts.Domain)
	return mail, err
}

const resendSQL = `
UPDATE booking_platform.messages m SET state = 'due', reason = '', leased = false, attempts = 0, uncertain = 0,
	due_at = statement_timestamp(), next_attempt_at = statement_timestamp(), settled_at = NULL
WHERE m.id = $1::uuid AND m.state IN ('refused', 'dropped', 'due') AND NOT m.leased`

// The number in the occurrence tells the copies apart.
const copySQL = `
INSERT INTO booking_platform.messages (kind, reference, occurrence, recipient, language, data)
SELECT m.kind, m.reference, m.occurrence || '#' || (
		SELECT count(*) + 1 FROM booking_platform.messages c
		WHERE c.reference = m.reference AND c.kind = m.kind AND c.occurrence LIKE m.occurrence || '#%'
	), m.recipient, m.language, m.data
FROM booking_platform.messages m WHERE m.id = $1::uuid AND m.state = 'sent'
ON CONFLICT (reference, kind, occurrence) DO NOTHING`

// Resend makes a message due again: a refused or dropped one is the same message, and a
// sent one is copied, because a mail program hides a second mail with the same Message-ID.
// A message that is due is tried at once. The errors are [ErrNotFound], and [ErrNotNow] if
// it is being sent at this moment or was expanded.
func (s *Store) Resend(ctx context.Context, id string) error {
	if !isID(id) {
		return fmt.Errorf("notify: resend: %w", ErrNotFound)
	}
	for _, query := range []string{resendSQL, copySQL} {
		if n, err := s.exec(ctx, "resend", query, id); err != nil || n > 0 {
			return err
		}
	}
	if _, err := s.Get(ctx, id); err != nil {
		return err
	}
	return fmt.Errorf("notify: resend: %w", ErrNotNow)
}

// ErrNotNow means that a message cannot be sent again now.
var ErrNotNow = errors.New("the message is being sent, or was expanded into others")

// Counts are the numbers that operators watch.
type Counts struct {
	// Due are the messages that should have been sent by now, and Oldest is for how long
	// the first of them has been due.
	Due    int
	Oldest time.Duration
	// Refused are kept until Options.KeepFor has passed or they are sent again.
	Refused int
}

const countsSQL = `
SELECT d.n, COALESCE(extract(epoch FROM statement_timestamp() - d.oldest), 0)::double precision, r.n
FROM (
	SELECT count(*) AS n, min(m.due_at) AS oldest FROM booking_platform.messages m
	WHERE m.state = 'due' AND m.due_at <= statement_timestamp()
) d, (
	SELECT count(*) AS n FROM booking_platform.messages m WHERE m.state = 'refused'
) r`

// Counts returns the numbers. One round trip, on the indexes of unsent messages.
func (s *Store) Counts(ctx context.Context) (Counts, error) {
	return read(ctx, s, "count", func(q pg.Querier) (c Counts, err error) {
		var seconds float64
		err = q.QueryRowContext(ctx, countsSQL).Scan(&c.Due, &seconds, &c.Refused)
		c.Oldest = time.Duration(seconds * float64(time.Second))
		return c, err
	})
}

// isID reports whether s is a UUID in canonical text.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, r := range s {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (r == '-') || !hyphen && !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}
