package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/webhook"
)

// events does `host events list`, `show`, `replay`, `ignore`, `fetch` and `waiting`: on
// the events of hosts alone, not on those of other receivers that share the database.
func events(ctx context.Context, args []string, environ map[string]string, std streams) error {
	if len(args) == 0 {
		return errMisunderstood
	}
	switch rest := args[1:]; args[0] {
	case "list":
		return listEventsCommand(ctx, rest, environ, std)
	case "show":
		return showEventsCommand(ctx, rest, environ, std)
	case "replay":
		return replayCommand(ctx, rest, environ, std)
	case "ignore":
		return ignoreCommand(ctx, rest, environ, std)
	case "fetch":
		return fetchCommand(ctx, rest, environ, std)
	case "waiting":
		return waitingCommand(ctx, rest, environ, std)
	}
	return errMisunderstood
}

func listEventsCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("list")
	var opts webhook.ListOptions
	flags.Func("outcome", "", func(s string) (err error) { opts.Outcome, err = readOutcome(s); return err })
	flags.Func("reason", "", func(s string) error { opts.Reason = webhook.Reason(s); return nil })
	flags.StringVar(&opts.Type, "type", "", "")
	flags.StringVar(&opts.Before, "before", "", "")
	flags.Func("since", "", func(s string) (err error) { opts.Since, err = readSince(s); return err })
	flags.Func("limit", "", func(s string) (err error) { opts.Limit, err = readCount(s, 500); return err })
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errMisunderstood
	}
	return withStorage(ctx, environ, std, migrations.All, func(s *storage) error {
		entries, err := webhook.List(ctx, s.db, config.ReceiverName, opts)
		if err != nil {
			return err
		}
		return printEntries(std.out, entries, *asJSON)
	})
}

func showEventsCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("show")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		return errMisunderstood
	}
	return withStorage(ctx, environ, std, migrations.All, func(s *storage) error {
		for _, id := range flags.Args() {
			record, err := webhook.Find(ctx, s.db, config.ReceiverName, id)
			if errors.Is(err, webhook.ErrNotFound) {
				return fmt.Errorf("there is no event %q", id)
			}
			if err != nil {
				return err
			}
			if err := printRecord(std.out, record, *asJSON); err != nil {
				return err
			}
		}
		return nil
	})
}

// replayCommand needs the whole configuration, not only the database: the handlers are
// those that serve would use.
func replayCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("replay")
	var opts webhook.ReplayOptions
	narrowed := false
	narrow := func(read func(string) error) func(string) error {
		return func(s string) error { narrowed = true; return read(s) }
	}
	flags.Func("id", "", func(s string) error { opts.IDs = append(opts.IDs, strings.Split(s, ",")...); return nil })
	flags.Func("outcome", "", func(s string) error {
		for name := range strings.SplitSeq(s, ",") {
			outcome, err := readOutcome(name)
			if err != nil || outcome == webhook.Processed {
				return errMisunderstood
			}
			opts.Outcomes = append(opts.Outcomes, outcome)
		}
		return nil
	})
	flags.Func("type", "", narrow(func(s string) error { opts.Type = s; return nil }))
	flags.Func("since", "", narrow(func(s string) (err error) { opts.Since, err = readSince(s); return err }))
	flags.Func("limit", "", narrow(func(s string) (err error) { opts.Limit, err = readCount(s, 10_000); return err }))
	flags.BoolVar(&opts.DryRun, "dry-run", false, "")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || narrowed && len(opts.IDs) > 0 {
		return errMisunderstood
	}
	return withRooms(ctx, environ, std, func(r *rooms) error {
		replayed, err := r.receiver.Replay(ctx, opts)
		return errors.Join(printReplayed(std.out, replayed, opts.DryRun, *asJSON), err)
	})
}

// ignoreCommand ends events that a person has decided to do nothing about.
func ignoreCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("ignore")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		return errMisunderstood
	}
	return withStorage(ctx, environ, std, migrations.All, func(s *storage) error {
		ignored, err := webhook.Ignore(ctx, s.db, config.ReceiverName, flags.Args()...)
		return errors.Join(printIgnored(std.out, ignored, *asJSON), err)
	})
}

func waitingCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("waiting")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errMisunderstood
	}
	return withStorage(ctx, environ, std, migrations.All, func(s *storage) error {
		backlog, err := webhook.Waiting(ctx, s.db, config.ReceiverName)
		if err != nil {
			return err
		}
		return printBacklog(std.out, backlog, *asJSON)
	})
}

// readOutcome reads an outcome that a row of the ledger can have.
func readOutcome(s string) (webhook.Outcome, error) {
	switch outcome := webhook.Outcome(s); outcome {
	case webhook.Processed, webhook.Ignored, webhook.Unmatched, webhook.Parked, webhook.Failed:
		return outcome, nil
	}
	return "", errMisunderstood
}

// readSince reads how long ago (90m, 36h), a day (in UTC), or an instant.
func readSince(s string) (time.Time, error) {
	if ago, err := time.ParseDuration(s); err == nil && ago > 0 {
		return time.Now().Add(-ago), nil
	}
	if day, err := booking.ParseDate(s); err == nil {
		at, _ := day.At(0, time.UTC)
		return at, nil
	}
	return time.Parse(time.RFC3339, s)
}

func readCount(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, errMisunderstood
	}
	return n, nil
}
