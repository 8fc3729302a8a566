package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/output"
	"github.com/booking-platform/booking-platform/notify"
	"github.com/booking-platform/booking-platform/notify/smtp"
)

func (c *cli) messageCommand() *cobra.Command {
	return c.group("message", "List mails and send them again",
		c.messageListCommand(),
		c.jsonFlag(&cobra.Command{
			Use:   "show ID...",
			Short: "Print messages, and the mail that would be sent now",
			Long: `Print messages, and the mail that would be sent now. The text has the customer's name and private link;
it is read from the booking and not stored.`,
			Example: "  host message show 0193b3a0-0000-4000-8000-000000000000",
			Args:    arguments(1, -1, "the id of a message"),
			RunE:    c.action(c.showMessages),
		}),
		c.messageResendCommand(),
		c.messageLinkCommand(),
		c.jsonFlag(&cobra.Command{
			Use:   "test ADDRESS",
			Short: "Send a test mail and print what the mail server answers",
			Long: `Send a test mail by the server of SMTP_URL and print what it answers. The mail is not in the outbox.

Exit status: 1 if the server did not accept it.`,
			Example: "  host message test you@example.com",
			Args:    arguments(1, 1, "an e-mail address"),
			RunE:    c.action(c.testMessage),
		}))
}

func (c *cli) messageListCommand() *cobra.Command {
	var opts notify.ListOptions
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List messages, newest first",
		Example: `  host message list --state refused
  host message list --booking 0193b3a0-0000-7000-8000-000000000000`,
		Args: noArguments,
		RunE: c.action(func(ctx context.Context, _ []string) error {
			return c.withMessages(ctx, func(_ *services, s *notify.Store) error {
				all, err := s.List(ctx, opts)
				if err != nil {
					return err
				}
				return c.printer().Messages(all)
			})
		}),
	})
	flags := cmd.Flags()
	flags.Func("state", "only this `STATE`: due, expanded, sent, refused, dropped", func(text string) error {
		switch state := notify.State(text); state {
		case notify.StateDue, notify.StateExpanded, notify.StateSent, notify.StateRefused, notify.StateDropped:
			opts.State = state
			return nil
		}
		return errors.New("it is due, expanded, sent, refused or dropped")
	})
	flags.StringVar(&opts.Kind, "kind", "", "only this `KIND`, such as customer.confirmed")
	flags.StringVar(&opts.Reference, "booking", "", "only messages about this booking's `ID`")
	flags.Func("limit", "at most `N` messages, up to 500 (default 50)",
		func(text string) (err error) { opts.Limit, err = parseCount(text, 500); return err })
	return cmd
}

func (c *cli) messageResendCommand() *cobra.Command {
	var refused bool
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "resend ID... | --refused",
		Short: "Make messages due again; a running host sends them",
		Long: `Make messages due again; a running host sends them. A sent message is copied, because mail programs hide
a second mail with the same Message-ID.`,
		Example: `  host message resend 0193b3a0-0000-4000-8000-000000000000
  host message resend --refused`,
		Args: cobra.ArbitraryArgs,
		RunE: c.action(func(ctx context.Context, ids []string) error {
			if refused == (len(ids) > 0) {
				return usagef("name messages by their ids, or all refused ones by --refused")
			}
			return c.withMessages(ctx, func(_ *services, s *notify.Store) error {
				if refused {
					return c.resendRefused(ctx, s)
				}
				return c.resend(ctx, s, ids)
			})
		}),
	})
	cmd.Flags().BoolVar(&refused, "refused", false, "all messages that were refused")
	return cmd
}

func (c *cli) resend(ctx context.Context, s *notify.Store, ids []string) error {
	for _, id := range ids {
		err := s.Resend(ctx, id)
		switch {
		case errors.Is(err, notify.ErrNotFound):
			return fmt.Errorf("there is no message %q", id)
		case err != nil:
			return err
		}
		err = c.printer().Line("due again: "+output.Escape(id), map[string]string{"id": id, "state": "due"})
		if err != nil {
			return err
		}
	}
	return nil
}

// resendRefused ends, because a message that is due is not refused.
func (c *cli) resendRefused(ctx context.Context, s *notify.Store) error {
	for {
		all, err := s.List(ctx, notify.ListOptions{State: notify.StateRefused, Limit: 500})
		if err != nil || len(all) == 0 {
			return err
		}
		var ids []string
		for _, m := range all {
			ids = append(ids, m.ID)
		}
		if err := c.resend(ctx, s, ids); err != nil {
			return err
		}
	}
}

func (c *cli) showMessages(ctx context.Context, ids []string) error {
	return c.withMessages(ctx, func(_ *services, s *notify.Store) error {
		for _, id := range ids {
			m, err := s.Get(ctx, id)
			if errors.Is(err, notify.ErrNotFound) {
				return fmt.Errorf("there is no message %q", id)
			}
			if err != nil {
				return err
			}
			mail, err := s.Preview(ctx, m)
			var drop *notify.DropError
			if err != nil && !errors.As(err, &drop) && !errors.Is(err, notify.ErrNotFound) {
				return err
			}
			if err := c.printer().Message(m, mail, drop); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *cli) testMessage(ctx context.Context, args []string) error {
	if _, err := smtp.ParseAddress(args[0]); err != nil {
		return usagef("%q: %v", args[0], err)
	}
	return c.withMessages(ctx, func(r *services, s *notify.Store) error {
		if r.mailServer == nil {
			return errors.New("no mail server is configured: set SMTP_URL and MAIL_FROM")
		}
		mail, err := s.Preview(ctx, notify.Message{ID: config.Random(), Kind: kindTest, Recipient: args[0]})
		if err != nil {
			return err
		}
		if err := r.mailServer.Send(ctx, mail); err != nil {
			return fmt.Errorf("%s did not accept the mail: %w", r.mailServer.Address(), err)
		}
		return c.printer().Line("accepted by "+r.mailServer.Address(),
			map[string]string{"server": r.mailServer.Address(), "messageId": mail.MessageID})
	})
}

// withMessages calls do with the services and their outbox.
func (c *cli) withMessages(ctx context.Context, do func(*services, *notify.Store) error) error {
	return c.withServices(ctx, func(r *services) error { return do(r, r.messages) })
}
