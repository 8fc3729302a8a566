package output

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// Entries prints a list of events.
func (p Printer) Entries(entries []webhook.Entry) error {
	var rows [][]string
	for _, e := range entries {
		if p.JSON {
			if err := printJSON(p.Out, api.EntryOf(e)); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{formatTime(e.ReceivedAt), Escape(e.ID), Escape(e.Type), string(e.Outcome),
			strconv.Itoa(e.Attempts), Escape(e.ObjectID), Escape(truncate(cmp.Or(e.LastError, string(e.Reason))))})
	}
	if p.JSON {
		return nil
	}
	return printTable(p.Out, []string{"RECEIVED", "ID", "TYPE", "OUTCOME", "ATTEMPTS", "OBJECT", "ERROR"}, rows)
}

// The payload is text: its bytes were signed.
type recordJSON struct {
	api.Entry
	Payload string `json:"payload,omitempty"`
}

// Record prints an event with its payload.
func (p Printer) Record(record webhook.Record) error {
	if p.JSON {
		return printJSON(p.Out, recordJSON{api.EntryOf(record.Entry), string(record.Payload)})
	}
	err := printFields(p.Out, [][2]string{
		{"id", Escape(record.ID)}, {"type", Escape(record.Type)}, {"outcome", string(record.Outcome)},
		{"reason", Escape(string(record.Reason))}, {"attempts", strconv.Itoa(record.Attempts)},
		{"error", Escape(record.LastError)}, {"live", yesNo(record.Livemode)}, {"account", Escape(record.Account)},
		{"API version", Escape(record.APIVersion)}, {"object", Escape(record.ObjectID)},
		{"session", Escape(record.SessionID)}, {"payment intent", Escape(record.PaymentIntentID)},
		{"reference", Escape(record.Reference)}, {"created", formatTime(record.Created)},
		{"received", formatTime(record.ReceivedAt)}, {"processed", formatTime(record.ProcessedAt)},
	})
	if err != nil {
		return err
	}
	if record.Payload == nil {
		_, err = fmt.Fprintln(p.Out, "the payload is not kept")
		return err
	}
	_, err = fmt.Fprintf(p.Out, "\n%s\n", record.Payload)
	return err
}

type backlogJSON struct {
	Failed           int       `json:"failed"`
	Unmatched        int       `json:"unmatched"`
	UnmatchedSession int       `json:"unmatchedSessions"`
	Parked           int       `json:"parked"`
	OldestAgeSeconds int64     `json:"oldestAgeSeconds"`
	Oldest           time.Time `json:"oldest,omitzero"`
	LastProcessed    time.Time `json:"lastProcessed,omitzero"`
}

// Backlog prints counts and ages.
func (p Printer) Backlog(b webhook.Backlog) error {
	if p.JSON {
		return printJSON(p.Out, backlogJSON{b.Failed, b.Unmatched, b.UnmatchedSessions, b.Parked,
			int64(b.Age / time.Second), b.Oldest, b.LastProcessed})
	}
	oldest, last := "none", "none of the newest 1000"
	if !b.Oldest.IsZero() {
		oldest = fmt.Sprintf("%s, %s old", formatTime(b.Oldest), b.Age.Truncate(time.Second))
	}
	if !b.LastProcessed.IsZero() {
		last = formatTime(b.LastProcessed)
	}
	return printFields(p.Out, [][2]string{
		{"failed", strconv.Itoa(b.Failed)}, {"unmatched", strconv.Itoa(b.Unmatched)},
		{"unmatched sessions", strconv.Itoa(b.UnmatchedSessions)}, {"parked", strconv.Itoa(b.Parked)},
		{"oldest unprocessed", oldest}, {"last processed", last},
	})
}

type replayedJSON struct {
	ID      string          `json:"id"`
	Type    string          `json:"type,omitempty"`
	Was     webhook.Outcome `json:"was,omitempty"`
	Outcome webhook.Outcome `json:"outcome,omitempty"`
	Skipped webhook.Skip    `json:"skipped,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// Replayed prints each result as soon as it is known.
type Replayed struct {
	Printer
	DryRun           bool
	count, unsettled int
	failed           error
}

// Add prints the result of an event.
func (p *Replayed) Add(r webhook.Replayed) {
	line := replayedJSON{ID: r.ID, Type: r.Type, Was: r.Was, Outcome: r.Outcome, Skipped: r.Skipped}
	if r.Err != nil {
		line.Error = r.Err.Error()
	}
	p.count++
	// A dry run only knows what would be handled.
	if !r.Settled() && (!p.DryRun || r.Skipped != "") {
		p.unsettled++
	}
	p.failed = errors.Join(p.failed, p.Line(line.text(p.DryRun), line))
}

// End prints the sums, and that left more events match.
func (p *Replayed) End(left int) error {
	if !p.JSON {
		switch {
		case p.DryRun:
			fmt.Fprintln(p.Out, "dry run: nothing was done")
		case p.count == 0:
			fmt.Fprintln(p.Out, "nothing to replay")
		}
		if left > 0 {
			fmt.Fprintf(p.Out, "%d of %d events: to include the others, run this with --limit %d\n", p.count,
				p.count+left, p.count+left)
		}
	}
	if p.unsettled > 0 {
		p.failed = errors.Join(p.failed, fmt.Errorf("%d of %d events are not settled", p.unsettled, p.count))
	}
	return p.failed
}

func (r replayedJSON) text(dry bool) string {
	id := Escape(r.ID)
	switch r.Skipped {
	case webhook.SkippedUnknown:
		return id + ": not in the ledger"
	case webhook.SkippedOutcome:
		return fmt.Sprintf("%s: %s, which --outcome does not name", id, r.Was)
	case webhook.SkippedNoHandler:
		return fmt.Sprintf("%s: %s, and this host has no handler for it (its type, mode or account)", id, r.Was)
	case webhook.SkippedNoPayload:
		return fmt.Sprintf("%s: %s, and its payload is not kept", id, r.Was)
	}
	text := fmt.Sprintf("%s: %s, %s", id, Escape(r.Type), r.Was)
	if !dry {
		text += " -> " + string(r.Outcome)
	}
	if r.Error != "" {
		text += ": " + Escape(r.Error)
	}
	return text
}

type ignoredJSON struct {
	ID      string          `json:"id"`
	Was     webhook.Outcome `json:"was,omitempty"`
	Ignored bool            `json:"ignored"`
}

// Ignored prints a result per event.
func (p Printer) Ignored(ignored []webhook.IgnoreResult) error {
	left := 0
	for _, e := range ignored {
		if !e.Ended {
			left++
		}
		if p.JSON {
			if err := printJSON(p.Out, ignoredJSON{e.ID, e.Was, e.Ended}); err != nil {
				return err
			}
			continue
		}
		result := fmt.Sprintf("%s -> ignored", e.Was)
		switch {
		case e.Was == "":
			result = "not in the ledger"
		case !e.Ended:
			result = fmt.Sprintf("%s, left as it is", e.Was)
		}
		fmt.Fprintf(p.Out, "%s: %s\n", Escape(e.ID), result)
	}
	if left > 0 {
		return fmt.Errorf("%d of %d events had nothing to end", left, len(ignored))
	}
	return nil
}

type fetchedJSON struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Created   time.Time       `json:"created"`
	Was       webhook.Outcome `json:"was,omitempty"`
	Outcome   webhook.Outcome `json:"outcome,omitempty"`
	SessionID string          `json:"stripeSessionId,omitempty"`
	PaymentID string          `json:"paymentId,omitempty"`
	BookingID string          `json:"bookingId,omitempty"`
	Amount    int64           `json:"amountMinor,omitempty"`
	Currency  string          `json:"currency,omitempty"`
	Error     string          `json:"error,omitempty"`
}

// Fetched prints and counts the events that the ledger lacked.
type Fetched struct {
	Printer
	DryRun                    bool
	listed, lacked, unsettled int
	failed                    error
}

// Add prints an event if the ledger lacked it.
func (p *Fetched) Add(t payments.FetchedEvent) {
	p.listed++
	if !t.Missing() || t.Outcome == webhook.Duplicate {
		return
	}
	p.lacked++
	if t.Outcome == webhook.Failed || t.Outcome == webhook.Unmatched {
		p.unsettled++
	}
	line := fetchedJSON{
		ID: t.ID, Type: t.Type, Created: t.Created, Was: t.Was, Outcome: t.Outcome, SessionID: t.SessionID,
		PaymentID: t.Reference, BookingID: t.BookingID, Amount: t.Amount, Currency: t.Currency,
	}
	if t.Err != nil {
		line.Error = t.Err.Error()
	}
	if p.JSON {
		p.failed = errors.Join(p.failed, printJSON(p.Out, line))
		return
	}
	text := Escape(t.ID) + ": " + Escape(t.Type)
	if !p.DryRun {
		text += " -> " + string(t.Outcome)
	}
	if p.DryRun || t.Outcome != webhook.Processed {
		text += fmt.Sprintf(" (booking %s, payment %s, session %s, %d %s)", Escape(t.BookingID), Escape(t.Reference),
			Escape(t.SessionID), t.Amount, Escape(t.Currency))
	}
	if line.Error != "" {
		text += ": " + Escape(line.Error)
	}
	_, err := fmt.Fprintln(p.Out, text)
	p.failed = errors.Join(p.failed, err)
}

// End prints the sums.
func (p *Fetched) End() error {
	if !p.JSON {
		_, err := fmt.Fprintf(p.Out, "%d events listed, %d of them new here\n", p.listed, p.lacked)
		p.failed = errors.Join(p.failed, err)
		if p.DryRun {
			fmt.Fprintln(p.Out, "dry run: nothing was done")
		}
	}
	if p.unsettled > 0 {
		return errors.Join(p.failed, fmt.Errorf("%d of %d events failed or match nothing here", p.unsettled, p.listed))
	}
	return p.failed
}
