package notify

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// State is the state of a message.
type State string

const (
	// StateDue: to be sent, or to be sent again, once DueAt has passed.
	StateDue State = "due"
	// StateExpanded: [Kind.Expand] made other messages of it.
	StateExpanded State = "expanded"
	// StateSent: a server accepted the mail.
	StateSent State = "sent"
	// StateRefused: a server refused the mail for good, or did not accept it in time.
	// [Store.Resend] sends it again.
	StateRefused State = "refused"
	// StateDropped: there was no reason to send it any more; see Reason.
	StateDropped State = "dropped"
)

// Message is a row of the outbox. Times are in UTC.
type Message struct {
	ID string
	// Kind selects the [Kind] that composes it.
	Kind string
	// Reference is what the message is about, such as the id of a booking, and Occurrence
	// tells messages of a kind about one reference apart.
	Reference, Occurrence string
	// Recipient is an e-mail address, or "" if Compose finds it.
	Recipient string
	Language  string
	// Data is a JSON object.
	Data  json.RawMessage
	State State
	// Reason is why the last attempt failed or why the message was dropped, without
	// addresses.
	Reason   string
	Attempts int
	// Uncertain counts the attempts whose result is not known, because the process or the
	// connection ended. Each may have sent the mail.
	Uncertain int
	// DueAt is when it was first to be sent, NextAttemptAt when it is tried next.
	DueAt, NextAttemptAt time.Time
	CreatedAt            time.Time
	// SettledAt is zero while it is due.
	SettledAt time.Time
	// Now is the database's clock when the message was read.
	Now time.Time
}

// Decode reads Data into a value, as encoding/json does.
func (m Message) Decode(into any) error {
	if err := json.Unmarshal(m.Data, into); err != nil {
		return fmt.Errorf("notify: data of message %s: %w", m.ID, err)
	}
	return nil
}

// MessageID returns the Message-ID of the mail, the same for each attempt. domain is a
// host name of the sender's.
func (m Message) MessageID(domain string) string { return "<" + m.ID + "@" + domain + ">" }

const messageColumns = ` m.id::text, m.kind, m.reference, m.occurrence, m.recipient, m.language, m.data::text, m.state,
	m.reason, m.attempts, m.uncertain, m.due_at, m.next_attempt_at, m.created_at, m.settled_at, statement_timestamp()`

func scanMessage(row interface{ Scan(...any) error }) (m Message, err error) {
	var data string
	var settled sql.NullTime
	err = row.Scan(&m.ID, &m.Kind, &m.Reference, &m.Occurrence, &m.Recipient, &m.Language, &data, &m.State,
		&m.Reason, &m.Attempts, &m.Uncertain, &m.DueAt, &m.NextAttemptAt, &m.CreatedAt, &settled, &m.Now)
	m.Data = json.RawMessage(data)
	for _, t := range []*time.Time{&m.DueAt, &m.NextAttemptAt, &m.CreatedAt, &m.Now} {
		*t = t.UTC()
	}
	if settled.Valid {
		m.SettledAt = settled.Time.UTC()
	}
	return m, err
}

// scanMessages closes rows.
func scanMessages(rows *sql.Rows) (all []Message, err error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		m, err := scanMessage(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return all, rows.Close()
}
