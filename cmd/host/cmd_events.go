package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

const sinceUsage = "only events since this `TIME`: an age such as 24h, a day in UTC such as 2026-11-01, " +
	"or a time in RFC 3339"

var ledgerOutcomes = []string{string(webhook.Processed), string(webhook.Ignored), string(webhook.Unmatched),
	string(webhook.Parked), string(webhook.Failed)}

// eventsCommand works on the hosts' events, not on those of other receivers.
func (c *cli) eventsCommand() *cobra.Command {
	return c.group("events", "List Stripe's events and handle them again", c.eventsListCommand(),
		c.jsonFlag(&cobra.Command{
			Use:     "show ID...",
			Short:   "Print events with their payloads, which contain customers' data",
			Example: "  host events show evt_1NG8Du2eZvKYlo2CUI79vXWy",
			Args:    arguments(1, -1, "the id of an event (evt_...)"),
			RunE:    c.action(c.showEvents),
		}),
		c.eventsReplayCommand(),
		c.jsonFlag(&cobra.Command{
			Use:   "ignore ID...",
			Short: "Mark events as ignored",
			Long: `Mark events that are failed, unmatched or parked as ignored: they are not retried, and no alert
counts them.

Exit status: 1 if one of the events had another outcome.`,
			Example: "  host events ignore evt_1NG8Du2eZvKYlo2CUI79vXWy",
			Args:    arguments(1, -1, "the id of an event (evt_...)"),
			RunE:    c.action(c.ignoreEvents),
		}),
		c.eventsFetchCommand(),
		c.jsonFlag(&cobra.Command{
			Use:     "waiting",
			Short:   "Count the events that are not settled, with the age of the oldest",
			Example: "  host events waiting",
			Args:    noArguments,
			RunE:    c.action(c.eventsWaiting),
		}))
}

func (c *cli) eventsListCommand() *cobra.Command {
	var opts webhook.ListOptions
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List events and their outcomes, newest first",
		Example: `  host events list --outcome failed --since 24h
  host events list --outcome ignored --reason not_ours
  host events list --payment pi_3MtwBwLkdIwHu7ix28a3tqPa
  host events list --limit 500 --json`,
		Args: noArguments,
		RunE: c.action(func(ctx context.Context, _ []string) error {
			return c.withStorage(ctx, migrations.All, func(s *storage) error {
				entries, err := listEvents(ctx, webhook.NewLedger(s.db, config.ReceiverName), opts)
				if err != nil {
					return err
				}
				return c.printer().Entries(entries)
			})
		}),
	})
	flags := cmd.Flags()
	flags.Func("outcome", "only this `OUTCOME`: "+strings.Join(ledgerOutcomes, ", "),
		func(s string) (err error) { opts.Outcome, err = parseOutcome(s, ledgerOutcomes); return err })
	flags.StringVar((*string)(&opts.Reason), "reason", "", "only this `REASON`, such as not_ours")
	flags.StringVar(&opts.Type, "type", "", "only this `TYPE`, such as checkout.session.completed")
	flags.StringVar(&opts.Reference, "reference", "",
		"only events of this `REFERENCE`, such as a payment's id, and of its PaymentIntents")
	flags.StringVar(&opts.SessionID, "session", "", "only events of this Checkout Session's `ID` (cs_...)")
	flags.StringVar(&opts.PaymentIntentID, "payment", "", "only events of this PaymentIntent's `ID` (pi_...)")
	flags.StringVar(&opts.Before, "before", "", "only events before this `ID`, the last of the page before")
	flags.Func("since", sinceUsage,
		func(s string) (err error) { opts.Since, err = parseSince(s); return err })
	flags.Func("limit", "at most `N` events, up to 500 (default 50)",
		func(s string) (err error) { opts.Limit, err = parseCount(s, 500); return err })
	completeOutcomes(cmd, ledgerOutcomes)
	return cmd
}

// listEvents reads pages until it has as many events as the options allow. Each page
// reads a bounded number of rows.
func listEvents(ctx context.Context, ledger *webhook.Ledger, opts webhook.ListOptions) ([]webhook.Entry, error) {
	var all []webhook.Entry
	most := cmp.Or(opts.Limit, 50)
	for {
		opts.Limit = most - len(all)
		page, err := ledger.Page(ctx, opts)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Entries...)
		if page.Next == "" || len(all) == most {
			return all, nil
		}
		opts.Before = page.Next
	}
}

func completeOutcomes(cmd *cobra.Command, outcomes []string) {
	_ = cmd.RegisterFlagCompletionFunc("outcome",
		cobra.FixedCompletions(outcomes, cobra.ShellCompDirectiveNoFileComp))
}

func (c *cli) showEvents(ctx context.Context, ids []string) error {
	return c.withStorage(ctx, migrations.All, func(s *storage) error {
		for _, id := range ids {
			record, err := webhook.NewLedger(s.db, config.ReceiverName).Find(ctx, id)
			if errors.Is(err, webhook.ErrNotFound) {
				return fmt.Errorf("there is no event %q", id)
			}
			if err != nil {
				return err
			}
			if err := c.printer().Record(record); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *cli) eventsReplayCommand() *cobra.Command {
	var opts webhook.ReplayOptions
	outcomes := slices.DeleteFunc(slices.Clone(ledgerOutcomes),
		func(s string) bool { return s == string(webhook.Processed) })
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "replay",
		Short: "Handle events again, as another delivery would",
		Long: `Handle events again, as another delivery would: by default the oldest 100 that are failed or
unmatched. Parked and ignored events are handled only if --outcome names them. An event that was
settled meanwhile is a duplicate. The environment must be that of host serve.

Exit status: 1 when an event is not settled.`,
		Example: `  host events replay --dry-run
  host events replay --since 2026-11-01
  host events replay --outcome parked --id evt_1NG8Du2eZvKYlo2CUI79vXWy`,
		Args: arguments(0, 0, "name single events with --id"),
	})
	flags := cmd.Flags()
	flags.StringSliceVar(&opts.IDs, "id", nil, "only these events, by `ID,...`")
	flags.Func("outcome", "events with this `OUTCOME,...`: "+strings.Join(outcomes, ", ")+" (default failed,unmatched)",
		func(s string) error {
			for name := range strings.SplitSeq(s, ",") {
				outcome, err := parseOutcome(name, outcomes)
				if err != nil {
					return err
				}
				opts.Outcomes = append(opts.Outcomes, outcome)
			}
			return nil
		})
	flags.StringVar(&opts.Type, "type", "", "only this `TYPE`, such as checkout.session.completed")
	flags.Func("since", sinceUsage,
		func(s string) (err error) { opts.Since, err = parseSince(s); return err })
	flags.Func("limit", "at most `N` events, up to 10000 (default 100)",
		func(s string) (err error) { opts.Limit, err = parseCount(s, maxReplay); return err })
	flags.BoolVar(&opts.DryRun, "dry-run", false, "print what would be handled, and do nothing")
	completeOutcomes(cmd, outcomes)
	cmd.RunE = c.action(func(ctx context.Context, _ []string) error {
		if len(opts.IDs) > 0 && (flags.Changed("type") || flags.Changed("since") || flags.Changed("limit")) {
			return usagef("--id excludes --type, --since and --limit")
		}
		return c.withServices(ctx, func(r *services) error {
			return c.replayEvents(ctx, r.receiver, opts)
		})
	})
	return cmd
}

// maxReplay is the largest --limit.
const maxReplay = 10_000

// replayEvents prints each event when it has been handled, so that an interrupted command
// has told what it did.
func (c *cli) replayEvents(ctx context.Context, receiver *webhook.Receiver, opts webhook.ReplayOptions) error {
	p := output.Replayed{Printer: c.printer(), DryRun: opts.DryRun}
	if len(opts.IDs) > 0 {
		return errors.Join(c.replayEach(ctx, receiver, opts, opts.IDs, &p), p.End(0))
	}
	limit := opts.Limit
	if limit == 0 {
		limit = 100
	}
	// All that match, to say how many are left.
	all := opts
	all.DryRun, all.Limit = true, maxReplay
	matching, err := receiver.Replay(ctx, all)
	if err != nil {
		return err
	}
	var ids []string
	for _, m := range matching[:min(limit, len(matching))] {
		ids = append(ids, m.ID)
	}
	return errors.Join(c.replayEach(ctx, receiver, opts, ids, &p), p.End(len(matching)-len(ids)))
}

func (c *cli) replayEach(ctx context.Context, receiver *webhook.Receiver, opts webhook.ReplayOptions, ids []string,
	p *output.Replayed) error {
	for _, id := range ids {
		opts.IDs = []string{id}
		replayed, err := receiver.Replay(ctx, opts)
		for _, r := range replayed {
			p.Add(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) ignoreEvents(ctx context.Context, ids []string) error {
	return c.withStorage(ctx, migrations.All, func(s *storage) error {
		ignored, err := webhook.NewLedger(s.db, config.ReceiverName).Ignore(ctx, ids...)
		return errors.Join(c.printer().Ignored(ignored), err)
	})
}

func (c *cli) eventsFetchCommand() *cobra.Command {
	var since time.Time
	var opts payments.FetchSinceOptions
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "fetch --since TIME",
		Short: "Handle every event that Stripe has made since a time, as after a restore",
		Long: `Handle every event that Stripe has made since a time, delivered or not, as a delivery would. Use it
after restoring a backup. It can be repeated, and is safe beside running hosts. The environment must
be that of host serve.

Exit status: 1 when an event failed or matches nothing.`,
		Example: `  host events fetch --since 26h --dry-run
  host events fetch --since 2026-11-25T03:00:00Z`,
		Args: arguments(0, 0, "name the time with --since"),
		RunE: c.action(func(ctx context.Context, _ []string) error {
			if since.IsZero() {
				return usagef("--since is missing; it is an age such as 24h, a day, or a time in RFC 3339")
			}
			return c.fetchEvents(ctx, since, opts)
		}),
	})
	cmd.Flags().Func("since", sinceUsage,
		func(s string) (err error) { since, err = parseSince(s); return err })
	cmd.Flags().BoolVar(&opts.DryRun, "dry-run", false, "print what the ledger lacks, and do nothing")
	return cmd
}

func (c *cli) fetchEvents(ctx context.Context, since time.Time, opts payments.FetchSinceOptions) error {
	return c.withServices(ctx, func(r *services) error {
		// The stand-in and its events are in the process of serve.
		if r.stripeFake != nil {
			return errors.New("events cannot be fetched from the Stripe stand-in: STRIPE_SECRET_KEY is not set")
		}
		p := output.Fetched{Printer: c.printer(), DryRun: opts.DryRun}
		opts.Each = p.Add
		return errors.Join(r.payments.FetchSince(ctx, r.receiver, since, opts), p.End())
	})
}

func (c *cli) eventsWaiting(ctx context.Context, _ []string) error {
	return c.withStorage(ctx, migrations.All, func(s *storage) error {
		backlog, err := webhook.NewLedger(s.db, config.ReceiverName).Backlog(ctx)
		if err != nil {
			return err
		}
		return c.printer().Backlog(backlog)
	})
}

func parseOutcome(s string, known []string) (webhook.Outcome, error) {
	if !slices.Contains(known, s) {
		return "", fmt.Errorf("want one of %s", strings.Join(known, ", "))
	}
	return webhook.Outcome(s), nil
}

func parseSince(s string) (time.Time, error) {
	if age, err := time.ParseDuration(s); err == nil && age > 0 {
		return time.Now().Add(-age), nil
	}
	if day, err := booking.ParseDate(s); err == nil {
		at, _ := day.At(0, time.UTC)
		return at, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t,
			errors.New("want an age such as 24h, a day such as 2026-11-01, or a time such as 2026-11-01T03:00:00Z")
	}
	return t, nil
}

func parseCount(s string, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("want a number from 1 to %d", most)
	}
	return n, nil
}
