package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

func (c *cli) bookingCancelCommand() *cobra.Command {
	var req booking.CancelRequest
	var refund string
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "cancel ID",
		Short: "Cancel a booking, and refund it",
		Long: `Cancel a booking as staff do, and free its slot. All that was paid is refunded, unless --refund says
how much; --refund 0 refunds nothing. A running host makes the refund at Stripe. Money that was paid
at the desk is paid back by hand; see host payment desk-refunded.

The command can be repeated: a cancelled booking stays as it is.`,
		Example: `  host booking cancel --reason 'case 42' 0193b3a0-0000-7000-8000-000000000000
  host booking cancel --refund 10.00 0193b3a0-0000-7000-8000-000000000000`,
		Args: arguments(1, 1, "the id of a booking"),
		RunE: c.action(func(ctx context.Context, args []string) error {
			req.ID = args[0]
			return c.cancelBooking(ctx, req, refund)
		}),
	})
	cmd.Flags().StringVar(&refund, "refund", "",
		"the `AMOUNT` to refund, in the booking's currency, such as 25.00 (default all)")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "a `TEXT` for the history, at most 500 characters")
	return cmd
}

type cancelledJSON struct {
	ID     string         `json:"id"`
	Status booking.Status `json:"status"`
	// Refund is null for a hold, which was not paid.
	Refund *booking.Money `json:"refund"`
}

func (c *cli) cancelBooking(ctx context.Context, req booking.CancelRequest, refund string) error {
	return c.withServices(ctx, func(r *services) error {
		if refund != "" {
			b, err := r.bookings.Get(ctx, req.ID)
			if err != nil {
				return explainCancel(err, req.ID)
			}
			money, err := booking.ParseMoney(refund, b.Amount.Currency)
			if err != nil {
				return usagef("--refund %q: want an amount such as %s", refund, b.Amount.Decimal())
			}
			req.Refund = &money.Minor
		}
		b, err := r.payments.Cancel(booking.WithActor(ctx, operator), req)
		if err != nil {
			return explainCancel(err, req.ID)
		}
		text := b.ID + " " + string(b.Status)
		if b.Refund != nil {
			text += ", refund " + b.Refund.String()
		}
		return c.printer().Line(text, cancelledJSON{b.ID, b.Status, b.Refund})
	})
}

func explainCancel(err error, id string) error {
	var invalid *booking.ValidationError
	var ended *booking.StatusError
	switch {
	case errors.Is(err, booking.ErrNotFound), errors.Is(err, payments.ErrNotFound):
		return fmt.Errorf("there is no booking %q", id)
	case errors.As(err, &ended):
		return fmt.Errorf("booking %s is %s: it cannot be cancelled", id, ended.Status)
	case errors.As(err, &invalid):
		for field, text := range invalid.Fields {
			return usagef("--%s %s", field, text)
		}
	}
	return err
}
