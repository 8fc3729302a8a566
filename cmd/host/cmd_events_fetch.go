package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// fetchCommand needs the whole configuration, as replay does: the handlers are those of
// serve, and Stripe is asked.
func fetchCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("fetch")
	var since time.Time
	var opts payments.SinceOptions
	flags.Func("since", "", func(s string) (err error) { since, err = readSince(s); return err })
	flags.BoolVar(&opts.DryRun, "dry-run", false, "")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || since.IsZero() {
		return errMisunderstood
	}
	return withRooms(ctx, environ, std, func(r *rooms) error {
		// The stand-in lives in the process of serve, and its events with it.
		if r.standIn != nil {
			return errors.New("there is nobody to ask: STRIPE_SECRET_KEY is not set")
		}
		f := fetched{out: std.out, dry: opts.DryRun, asJSON: *asJSON}
		opts.Each = f.add
		return errors.Join(r.payments.TakeSince(ctx, r.receiver, since, opts), f.end())
	})
}

// fetchedLine is an event that the ledger lacked, in JSON.
type fetchedLine struct {
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

// fetched prints what the ledger lacked, one event a line, and counts.
type fetched struct {
	out                  io.Writer
	dry, asJSON          bool
	listed, lacked, left int
	err                  error
}

func (f *fetched) add(t payments.Taken) {
	f.listed++
	if !t.Lacking() || t.Outcome == webhook.Duplicate {
		return
	}
	f.lacked++
	if t.Outcome == webhook.Failed || t.Outcome == webhook.Unmatched {
		f.left++
	}
	line := fetchedLine{
		ID: t.ID, Type: t.Type, Created: t.Created, Was: t.Was, Outcome: t.Outcome, SessionID: t.SessionID,
		PaymentID: t.Reference, BookingID: t.BookingID, Amount: t.Amount, Currency: t.Currency,
	}
	if t.Err != nil {
		line.Error = t.Err.Error()
	}
	if f.asJSON {
		f.err = errors.Join(f.err, json.NewEncoder(f.out).Encode(line))
		return
	}
	text := fmt.Sprintf("%s: %s", plain(t.ID), plain(t.Type))
	if !f.dry {
		text += " -> " + string(t.Outcome)
	}
	// What is needed to find out who has paid for what.
	if f.dry || t.Outcome != webhook.Processed {
		text += fmt.Sprintf(" (booking %s, payment %s, session %s, %d %s)", plain(t.BookingID), plain(t.Reference),
			plain(t.SessionID), t.Amount, plain(t.Currency))
	}
	if line.Error != "" {
		text += ": " + plain(line.Error)
	}
	_, err := fmt.Fprintln(f.out, text)
	f.err = errors.Join(f.err, err)
}

// end says how many there were. The error gives the command its exit status.
func (f *fetched) end() error {
	if !f.asJSON {
		_, err := fmt.Fprintf(f.out, "%d events listed, %d of them new here\n", f.listed, f.lacked)
		f.err = errors.Join(f.err, err)
		if f.dry {
			fmt.Fprintln(f.out, "dry run: nothing was done")
		}
	}
	if f.left > 0 {
		return errors.Join(f.err, fmt.Errorf("%d of %d events failed or match nothing here", f.left, f.listed))
	}
	return f.err
}
