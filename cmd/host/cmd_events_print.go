package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/booking-platform/booking-platform/api"
	"github.com/booking-platform/booking-platform/webhook"
)

// recordLine is an event of the ledger in JSON, with its body as text: its bytes are what
// was signed.
type recordLine struct {
	api.Entry
	Payload string `json:"payload,omitempty"`
}

func printEntries(out io.Writer, entries []webhook.Entry, asJSON bool) error {
	if asJSON {
		lines := json.NewEncoder(out)
		for _, e := range entries {
			if err := lines.Encode(api.EntryOf(e)); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RECEIVED\tID\tTYPE\tOUTCOME\tATTEMPTS\tOBJECT\tERROR")
	for _, e := range entries {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			e.ReceivedAt.Format(time.RFC3339), plain(e.ID), plain(e.Type), e.Outcome, e.Attempts, plain(e.ObjectID),
			plain(line(cmp.Or(e.LastError, string(e.Reason)))))
	}
	return table.Flush()
}

// plain makes what came from outside fit for a terminal: on one line, and without what a
// terminal would obey.
func plain(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

func printRecord(out io.Writer, record webhook.Record, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(recordLine{api.EntryOf(record.Entry), string(record.Payload)})
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	live := "no"
	if record.Livemode {
		live = "yes"
	}
	for _, field := range [][2]string{
		{"id", plain(record.ID)}, {"type", plain(record.Type)}, {"outcome", string(record.Outcome)},
		{"reason", plain(string(record.Reason))}, {"attempts", fmt.Sprint(record.Attempts)},
		{"error", plain(record.LastError)}, {"live", live}, {"account", plain(record.Account)},
		{"API version", plain(record.APIVersion)},
		{"object", plain(record.ObjectID)}, {"session", plain(record.SessionID)},
		{"payment intent", plain(record.PaymentIntentID)},
		{"reference", plain(record.Reference)}, {"created", instant(record.Created)},
		{"received", instant(record.ReceivedAt)},
		{"processed", instant(record.ProcessedAt)},
	} {
		if field[1] != "" {
			fmt.Fprintf(table, "%s:\t%s\n", field[0], field[1])
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if record.Payload == nil {
		_, err := fmt.Fprintln(out, "the payload is not kept")
		return err
	}
	_, err := fmt.Fprintf(out, "\n%s\n", record.Payload)
	return err
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// backlogLine is what waits, in JSON.
type backlogLine struct {
	Failed           int       `json:"failed"`
	Unmatched        int       `json:"unmatched"`
	UnmatchedSession int       `json:"unmatchedSessions"`
	Parked           int       `json:"parked"`
	OldestAgeSeconds int64     `json:"oldestAgeSeconds"`
	Oldest           time.Time `json:"oldest,omitzero"`
	LastProcessed    time.Time `json:"lastProcessed,omitzero"`
}

func printBacklog(out io.Writer, b webhook.Backlog, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(backlogLine{b.Failed, b.Unmatched, b.UnmatchedSessions, b.Parked,
			int64(b.Age / time.Second), b.Oldest, b.LastProcessed})
	}
	oldest, last := "none", "none of the newest 1000"
	if !b.Oldest.IsZero() {
		oldest = fmt.Sprintf("%s, %s old", instant(b.Oldest), b.Age.Truncate(time.Second))
	}
	if !b.LastProcessed.IsZero() {
		last = instant(b.LastProcessed)
	}
	_, err := fmt.Fprintf(out, "failed:             %d\nunmatched:          %d\nof them sessions:   %d\nparked:             %d\noldest unprocessed: %s\nlast processed:     %s\n",
		b.Failed, b.Unmatched, b.UnmatchedSessions, b.Parked, oldest, last)
	return err
}

// replayedLine is what became of one event, in JSON.
type replayedLine struct {
	ID      string          `json:"id"`
	Type    string          `json:"type,omitempty"`
	Was     webhook.Outcome `json:"was,omitempty"`
	Outcome webhook.Outcome `json:"outcome,omitempty"`
	Skipped webhook.Skip    `json:"skipped,omitempty"`
	Error   string          `json:"error,omitempty"`
}

// printReplayed says what became of each event. The error gives the command its exit
// status: something is left to do.
func printReplayed(out io.Writer, replayed []webhook.Replayed, dry, asJSON bool) error {
	left := 0
	lines := json.NewEncoder(out)
	for _, r := range replayed {
		one := replayedLine{ID: r.ID, Type: r.Type, Was: r.Was, Outcome: r.Outcome, Skipped: r.Skipped}
		if r.Err != nil {
			one.Error = r.Err.Error()
		}
		// In a dry run, what would be taken up is all that can be known.
		if !r.Settled() && (!dry || r.Skipped != "") {
			left++
		}
		if asJSON {
			if err := lines.Encode(one); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(out, describe(one, dry))
	}
	switch {
	case asJSON:
	case dry:
		fmt.Fprintln(out, "dry run: nothing was done")
	case len(replayed) == 0:
		fmt.Fprintln(out, "nothing to replay")
	}
	if left > 0 {
		return fmt.Errorf("%d of %d events are not settled", left, len(replayed))
	}
	return nil
}

func describe(r replayedLine, dry bool) string {
	id := plain(r.ID)
	switch r.Skipped {
	case webhook.SkippedUnknown:
		return id + ": not in the ledger"
	case webhook.SkippedOutcome:
		return fmt.Sprintf("%s: %s, which was not asked for", id, r.Was)
	case webhook.SkippedNoHandler:
		return fmt.Sprintf("%s: %s, and this host has no handler for it (its type, mode or account)", id, r.Was)
	case webhook.SkippedNoPayload:
		return fmt.Sprintf("%s: %s, and its payload is not kept", id, r.Was)
	}
	text := fmt.Sprintf("%s: %s, %s", id, plain(r.Type), r.Was)
	if !dry {
		text += " -> " + string(r.Outcome)
	}
	if r.Error != "" {
		text += ": " + plain(r.Error)
	}
	return text
}

// ignoredLine is what became of an event that was to be ended, in JSON.
type ignoredLine struct {
	ID      string          `json:"id"`
	Was     webhook.Outcome `json:"was,omitempty"`
	Ignored bool            `json:"ignored"`
}

// printIgnored says what became of each event. The error gives the command its exit
// status.
func printIgnored(out io.Writer, ignored []webhook.IgnoredByOperator, asJSON bool) error {
	left := 0
	lines := json.NewEncoder(out)
	for _, e := range ignored {
		if !e.Ended {
			left++
		}
		text := fmt.Sprintf("%s: %s -> ignored", plain(e.ID), e.Was)
		switch {
		case asJSON:
			if err := lines.Encode(ignoredLine{e.ID, e.Was, e.Ended}); err != nil {
				return err
			}
			continue
		case e.Was == "":
			text = plain(e.ID) + ": not in the ledger"
		case !e.Ended:
			text = fmt.Sprintf("%s: %s, left as it is", plain(e.ID), e.Was)
		}
		fmt.Fprintln(out, text)
	}
	if left > 0 {
		return fmt.Errorf("%d of %d events were not waiting", left, len(ignored))
	}
	return nil
}
