package notify

import (
	"context"
	"strings"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Subject is a person: what the messages about them refer to, such as the ids of their
// bookings, and their e-mail addresses, which are compared without case.
type Subject struct {
	References, Addresses []string
}

// The list of references is separated by a control character, which no reference has.
const (
	separator  = "\x1f"
	subjectSQL = `(m.reference <> '' AND m.reference = ANY (string_to_array($1::text, E'\x1f'))
	OR m.recipient <> '' AND lower(m.recipient) = ANY (string_to_array($2::text, E'\x1f')))`
)

func (sub Subject) args() []any {
	return []any{strings.Join(sub.References, separator), strings.ToLower(strings.Join(sub.Addresses, separator))}
}

const eraseSQL = `DELETE FROM booking_platform.messages m WHERE ` + subjectSQL

const countSubjectSQL = `SELECT count(*) FROM booking_platform.messages m WHERE ` + subjectSQL

// Erase deletes the messages about a person and those to them, in any state, and returns
// how many. A mail that is being sent meanwhile is not stopped. One round trip.
func (s *Store) Erase(ctx context.Context, sub Subject) (int, error) {
	return s.exec(ctx, "erase", eraseSQL, sub.args()...)
}

// CountOf returns how many messages [Store.Erase] would delete. One round trip.
func (s *Store) CountOf(ctx context.Context, sub Subject) (int, error) {
	return read(ctx, s, "count messages", func(q pg.Querier) (n int, err error) {
		return n, q.QueryRowContext(ctx, countSubjectSQL, sub.args()...).Scan(&n)
	})
}

const exportSQL = `
SELECT` + messageColumns + `
FROM booking_platform.messages m WHERE ` + subjectSQL + ` ORDER BY m.created_at, m.id`

// Export returns the messages about a person and those to them, oldest first. One round
// trip.
func (s *Store) Export(ctx context.Context, sub Subject) ([]Message, error) {
	return read(ctx, s, "export", func(q pg.Querier) ([]Message, error) {
		rows, err := q.QueryContext(ctx, exportSQL, sub.args()...)
		if err != nil {
			return nil, err
		}
		return scanMessages(rows)
	})
}
