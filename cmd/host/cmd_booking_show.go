package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

func (c *cli) bookingShowCommand() *cobra.Command {
	return c.jsonFlag(&cobra.Command{
		Use:   "show NUMBER|ID",
		Short: "Show a booking with its payment and its history",
		Long: `Show a booking with its payment and its history.

The number is the one on the customer's pages, in capital or small letters, with or without spaces
and hyphens.`,
		Example: `  host booking show 7kmx-42pq
  host booking show 0193b3a0-0000-7000-8000-000000000000`,
		Args: arguments(1, 1, "the number or the id of a booking"),
		RunE: c.action(func(ctx context.Context, args []string) error {
			return c.withServices(ctx, func(r *services) error { return c.showBooking(ctx, r, args[0]) })
		}),
	})
}

func (c *cli) showBooking(ctx context.Context, r *services, numberOrID string) error {
	find := r.bookings.ByNumber
	if _, err := uuid.Parse(numberOrID); err == nil {
		find = r.bookings.Get
	}
	b, err := find(ctx, numberOrID)
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("there is no booking %q", numberOrID)
	}
	if err != nil {
		return err
	}
	resource, err := r.bookings.Resource(ctx, b.ResourceID)
	if err != nil {
		return err
	}
	pay, err := r.payments.ForBooking(ctx, b.ID)
	if err != nil && !errors.Is(err, payments.ErrNotFound) {
		return err
	}
	history, err := r.bookings.History(ctx, b.ID)
	if err != nil {
		return err
	}
	return c.printer().Booking(b, resource, pay, history)
}
