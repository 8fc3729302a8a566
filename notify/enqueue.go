package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"time"
)

// Draft is a message to be enqueued.
type Draft struct {
	Kind string
	// Reference, Kind and Occurrence together are unique: a second draft with the same
	// three is the same message, and is not enqueued again.
	Reference, Occurrence string
	// Recipient is an e-mail address without a name, or "" if [Kind.Compose] finds it,
	// which keeps personal data out of the table.
	Recipient string
	Language  string
	// Data is marshalled to JSON; nil is an empty object. Keep it small, without personal
	// data and secrets.
	Data any
	// DueAt is when it is to be sent; zero is now.
	DueAt time.Time
}

// A NULL due_at is now.
const enqueueSQL = `
INSERT INTO booking_platform.messages (kind, reference, occurrence, recipient, language, data, due_at, next_attempt_at)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::text, $6::jsonb,
	COALESCE($7::timestamptz, statement_timestamp()), COALESCE($7::timestamptz, statement_timestamp()))
ON CONFLICT (reference, kind, occurrence) DO NOTHING`

const maxData = 16 << 10

// Enqueue adds a message in the caller's transaction: it is sent if the transaction is
// committed, and only then. It reports false if the message is there already. A malformed
// draft is an error that leaves the transaction usable. One round trip.
//
// In a transaction above READ COMMITTED, a concurrent Enqueue of the same message can end
// this one with SQLSTATE 40001.
func (s *Store) Enqueue(ctx context.Context, tx Querier, d Draft) (bool, error) {
	args, err := d.args()
	if err != nil {
		return false, fmt.Errorf("notify: enqueue: %w", err)
	}
	result, err := tx.ExecContext(ctx, enqueueSQL, args...)
	if err != nil {
		return false, wrap(ctx, "enqueue", err)
	}
	n, err := result.RowsAffected()
	return n == 1, wrap(ctx, "enqueue", err)
}

func (d Draft) args() ([]any, error) {
	var bad []error
	if d.Kind == "" || !isLine(d.Kind) || !isLine(d.Reference) || !isLine(d.Occurrence) || !isLine(d.Language) {
		bad = append(bad, errors.New("the kind is required, and the fields must have no control characters"))
	}
	if d.Recipient != "" {
		if parsed, err := mail.ParseAddress(d.Recipient); err != nil || parsed.Name != "" || !isLine(d.Recipient) {
			bad = append(bad, errors.New("the recipient is no e-mail address"))
		}
	}
	if d.Data == nil {
		d.Data = struct{}{}
	}
	data, err := json.Marshal(d.Data)
	if err == nil && (len(data) > maxData || data[0] != '{') {
		err = fmt.Errorf("the data must be an object of at most %d bytes", maxData)
	}
	if err = errors.Join(append(bad, err)...); err != nil {
		return nil, err
	}
	due := sql.NullTime{Time: d.DueAt.UTC(), Valid: !d.DueAt.IsZero()}
	return []any{d.Kind, d.Reference, d.Occurrence, d.Recipient, d.Language, string(data), due}, nil
}
