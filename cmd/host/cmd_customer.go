package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/customers"
)

const customerArgument = "the e-mail address of a customer, or the id of a booking"

func (c *cli) customerCommand() *cobra.Command {
	return c.group("customer", "Export and erase a customer's personal data",
		c.customerExportCommand(), c.customerEraseCommand())
}

func (c *cli) customerExportCommand() *cobra.Command {
	var file string
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "export CUSTOMER",
		Short: "Print everything that is kept about a customer, as JSON",
		Long: `Print everything that is kept about a customer, as one JSON document: bookings with their history
and payments, stored events, and a user account. docs/privacy.md describes the fields.

CUSTOMER is ` + customerArgument + `.

With --json the document is one line.`,
		Example: `  host customer export ada@example.com
  host customer export --output ada.json 0193b3a0-0000-7000-8000-000000000000`,
		Args: arguments(1, 1, customerArgument),
		RunE: c.action(func(ctx context.Context, args []string) error {
			return c.exportCustomer(ctx, args[0], file)
		}),
	})
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to this new `FILE`, readable by you alone")
	return cmd
}

func (c *cli) customerEraseCommand() *cobra.Command {
	var opts customers.EraseOptions
	var yes bool
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "erase CUSTOMER",
		Short: "Erase a customer's personal data",
		Long: `Erase a customer's personal data from bookings, payments and stored events, and the user account with
the same address. Amounts, times and Stripe's ids stay. It cannot be undone. docs/privacy.md lists
what is erased and what is kept.

CUSTOMER is ` + customerArgument + `.

While a booking is not over, money can still arrive, or a user can log in, nothing is erased, and the
reasons are printed. A dispute, a refund and a parked payment are reasons that --force passes over.

On a terminal the address has to be typed again, unless --yes is given; without a terminal --yes is
required.

Exit status: 1 if the customer was not erased.`,
		Example: `  host customer erase --dry-run ada@example.com
  host customer erase --yes 0193b3a0-0000-7000-8000-000000000000`,
		Args: arguments(1, 1, customerArgument),
		RunE: c.action(func(ctx context.Context, args []string) error {
			return c.eraseCustomer(ctx, args[0], opts, yes)
		}),
	})
	cmd.Flags().BoolVar(&opts.DryRun, "dry-run", false, "print what would be erased, and do nothing")
	cmd.Flags().BoolVar(&opts.Force, "force", false, "erase despite disputes, refunds and parked payments")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// withCustomer calls do with the address of a customer.
func (c *cli) withCustomer(ctx context.Context, argument string,
	do func(people *customers.Customers, email string) error) error {
	return c.withServices(ctx, func(r *services) error {
		email := argument
		if !strings.Contains(email, "@") {
			var err error
			if email, err = r.customers.Email(ctx, argument); errors.Is(err, booking.ErrNotFound) {
				return fmt.Errorf("there is no booking %q; it is %s", argument, customerArgument)
			} else if errors.Is(err, customers.ErrUnknown) {
				return fmt.Errorf("booking %s has no customer: it is a block, or the customer was erased", argument)
			} else if err != nil {
				return err
			}
		}
		return do(r.customers, email)
	})
}

func (c *cli) exportCustomer(ctx context.Context, argument, file string) error {
	return c.withCustomer(ctx, argument, func(people *customers.Customers, email string) (err error) {
		out := c.out
		if file != "" {
			created, failure := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if failure != nil {
				return fmt.Errorf("create the file: %w", failure)
			}
			// An incomplete document is of no use.
			defer func() {
				if err = errors.Join(err, created.Close()); err != nil {
					_ = os.Remove(file)
				}
			}()
			out = created
		}
		if c.json {
			compact := &compactWriter{to: out}
			defer func() { err = errors.Join(err, compact.end()) }()
			out = compact
		}
		err = people.Export(ctx, out, email)
		if errors.Is(err, customers.ErrUnknown) {
			return errors.New("nothing is kept about this customer")
		}
		return err
	})
}

// compactWriter removes the line breaks and indents between the fields of a document. A
// line break inside a text is escaped in JSON.
type compactWriter struct {
	to      io.Writer
	newLine bool
	wrote   bool
}

func (w *compactWriter) Write(p []byte) (int, error) {
	kept := make([]byte, 0, len(p))
	for _, b := range p {
		switch {
		case b == '\n':
			w.newLine = true
			continue
		case b == ' ' && w.newLine:
			continue
		}
		w.newLine = false
		kept = append(kept, b)
	}
	w.wrote = w.wrote || len(kept) > 0
	if _, err := w.to.Write(kept); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *compactWriter) end() error {
	if !w.wrote {
		return nil
	}
	_, err := io.WriteString(w.to, "\n")
	return err
}

func (c *cli) eraseCustomer(ctx context.Context, argument string, opts customers.EraseOptions, yes bool) error {
	terminal := false
	if file, ok := c.in.(*os.File); ok {
		terminal = term.IsTerminal(int(file.Fd()))
	}
	if !terminal && !yes && !opts.DryRun {
		return usagef("--yes is missing: an erasure cannot be undone; --dry-run prints what would be erased")
	}
	return c.withCustomer(ctx, argument, func(people *customers.Customers, email string) error {
		if !yes && !opts.DryRun {
			if err := c.confirmErasure(email); err != nil {
				return err
			}
		}
		report, err := people.Erase(booking.WithActor(ctx, operator), email, opts)
		if err != nil && !errors.Is(err, customers.ErrNotYet) {
			return err
		}
		if err == nil && report.Changed() == 0 && len(report.NotYet) == 0 {
			return errors.New("no booking, event or user has this address; nothing was erased")
		}
		return errors.Join(c.printer().Erasure(report), err)
	})
}

func (c *cli) confirmErasure(email string) error {
	fmt.Fprint(c.err, "This cannot be undone. Type the customer's e-mail address to erase it: ")
	line, err := bufio.NewReader(io.LimitReader(c.in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the address: %w", err)
	}
	if !strings.EqualFold(strings.TrimSpace(line), email) {
		return errors.New("not the same address: nothing was erased")
	}
	return nil
}
