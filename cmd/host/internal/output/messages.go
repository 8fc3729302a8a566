package output

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/notify"
)

type messageJSON struct {
	ID         string          `json:"id"`
	Kind       string          `json:"kind"`
	Reference  string          `json:"reference"`
	Occurrence string          `json:"occurrence"`
	Recipient  string          `json:"recipient,omitempty"`
	Language   string          `json:"language,omitempty"`
	State      string          `json:"state"`
	Reason     string          `json:"reason,omitempty"`
	Attempts   int             `json:"attempts"`
	Uncertain  int             `json:"uncertain"`
	Data       json.RawMessage `json:"data"`
	DueAt      time.Time       `json:"dueAt"`
	NextAt     time.Time       `json:"nextAttemptAt,omitzero"`
	CreatedAt  time.Time       `json:"createdAt"`
	SettledAt  time.Time       `json:"settledAt,omitzero"`
	Mail       *mailJSON       `json:"mail,omitempty"`
}

type mailJSON struct {
	MessageID string   `json:"messageId"`
	To        string   `json:"to"`
	Subject   string   `json:"subject"`
	Text      string   `json:"text"`
	Files     []string `json:"files"`
}

func newMessageJSON(m notify.Message) messageJSON {
	one := messageJSON{ID: m.ID, Kind: m.Kind, Reference: m.Reference, Occurrence: m.Occurrence, Recipient: m.Recipient,
		Language: m.Language, State: string(m.State), Reason: m.Reason, Attempts: m.Attempts, Uncertain: m.Uncertain,
		Data: m.Data, DueAt: m.DueAt, CreatedAt: m.CreatedAt, SettledAt: m.SettledAt}
	if m.State == notify.StateDue {
		one.NextAt = m.NextAttemptAt
	}
	return one
}

// Messages prints a list of messages.
func (p Printer) Messages(all []notify.Message) error {
	var rows [][]string
	var lines []messageJSON
	for _, m := range all {
		lines = append(lines, newMessageJSON(m))
		rows = append(rows, []string{formatTime(m.CreatedAt), m.ID, Escape(m.Kind), Escape(m.Reference),
			string(m.State), strconv.Itoa(m.Attempts), Escape(truncate(m.Reason))})
	}
	if p.JSON {
		return printJSON(p.Out, lines...)
	}
	return printTable(p.Out, []string{"CREATED", "ID", "KIND", "REFERENCE", "STATE", "ATTEMPTS", "REASON"}, rows)
}

// Message prints a message with the mail that would be sent now, if its kind has one. drop
// is why none would be sent, or nil.
func (p Printer) Message(m notify.Message, mail notify.Mail, drop *notify.DropError) error {
	one := newMessageJSON(m)
	if drop == nil && mail.Subject != "" {
		one.Mail = &mailJSON{MessageID: mail.MessageID, To: mail.To, Subject: mail.Subject, Text: mail.Text}
		for _, a := range mail.Attachments {
			one.Mail.Files = append(one.Mail.Files, a.Name)
		}
	}
	if p.JSON {
		return printJSON(p.Out, one)
	}
	fields := [][2]string{
		{"id", m.ID}, {"kind", Escape(m.Kind)}, {"reference", Escape(m.Reference)},
		{"occurrence", Escape(m.Occurrence)}, {"recipient", Escape(m.Recipient)}, {"language", Escape(m.Language)},
		{"state", string(m.State)}, {"reason", Escape(m.Reason)}, {"attempts", strconv.Itoa(m.Attempts)},
		{"created", formatTime(m.CreatedAt)}, {"due", formatTime(m.DueAt)},
		{"next attempt", formatTime(one.NextAt)}, {"settled", formatTime(m.SettledAt)},
	}
	if m.Uncertain > 0 {
		fields = append(fields, [2]string{"uncertain", strconv.Itoa(m.Uncertain)})
	}
	if drop != nil {
		fields = append(fields, [2]string{"now", "would be dropped: " + Escape(drop.Reason)})
	}
	if one.Mail == nil {
		return printFields(p.Out, fields)
	}
	fields = append(fields, [2]string{"Message-ID", one.Mail.MessageID}, [2]string{"to", Escape(one.Mail.To)},
		[2]string{"subject", Escape(one.Mail.Subject)},
		[2]string{"files", cmp.Or(strings.Join(one.Mail.Files, ", "), "none")})
	if err := printFields(p.Out, fields); err != nil {
		return err
	}
	fmt.Fprintln(p.Out)
	for line := range strings.Lines(one.Mail.Text) {
		if _, err := fmt.Fprintln(p.Out, Escape(strings.TrimRight(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
