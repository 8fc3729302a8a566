package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// bookingFlags are the flags of host booking add.
type bookingFlags struct {
	request       booking.HoldRequest
	start         string
	payment, desk string
	free          bool
}

func (c *cli) bookingAddCommand() *cobra.Command {
	var f bookingFlags
	cmd := c.jsonFlag(&cobra.Command{
		Use: "add --resource ID --start TIME --first-name NAME --last-name NAME --email ADDRESS " +
			"(--payment ID | --desk METHOD | --free)",
		Short: "Enter a booking for a customer, and confirm it",
		Long: `Enter a booking for a customer, and confirm it. The rules for customers apply: opening hours, notice,
capacity, limits. The id of the booking and the customer's private link are printed on one line.

One flag says how it was paid:

  --payment   by a payment that exists at Stripe, a PaymentIntent or Checkout Session that is paid. Use it
              after a restore, for a booking that the backup does not have. Nothing is charged or refunded.
  --desk      at the desk. A refund of this money is paid by hand; see host payment desk-refunded.
  --free      not at all, because it costs nothing.

Repeating a command prints the same booking. For a second one that is the same in every flag, give
another --reference.`,
		Example: `  host booking add --resource studio --start 2026-12-01T10:00:00+01:00 --first-name Ada --last-name Lovelace \
    --email ada@example.com --desk cash --reference 'receipt 17'
  host booking add --resource studio --start 2026-12-01T10:00:00+01:00 --first-name Ada --last-name Lovelace \
    --email ada@example.com --payment cs_live_a1b2c3`,
		Args: noArguments,
		RunE: c.action(func(ctx context.Context, _ []string) error {
			by, err := f.check()
			if err != nil {
				return err
			}
			return c.addBooking(ctx, f.request, by)
		}),
	})
	flags := cmd.Flags()
	flags.StringVar(&f.request.Resource, "resource", "", "the `ID` or slug of the resource")
	flags.StringVar(&f.request.Offer, "offer", "", "the `SLUG` of the offer (default the resource's own slot)")
	flags.StringVar(&f.start, "start", "", "the start as `TIME` with an offset, such as 2026-12-01T10:00:00+01:00")
	flags.IntVar(&f.request.Party, "party", 1, "the `NUMBER` of people")
	flags.StringVar(&f.request.Customer.FirstName, "first-name", "", "the customer's first `NAME`")
	flags.StringVar(&f.request.Customer.LastName, "last-name", "", "the customer's last `NAME`")
	flags.StringVar(&f.request.Customer.Email, "email", "", "the customer's e-mail `ADDRESS`")
	flags.StringVar(&f.request.Customer.Phone, "phone", "", "the customer's telephone `NUMBER`")
	flags.StringVar(&f.request.Note, "note", "", "a `TEXT` from the customer, shown to staff")
	flags.StringVar(&f.request.Language, "language", "",
		"the customer's language, a `TAG` such as fr, of mails and pages (default English)")
	flags.StringVar(&f.payment, "payment", "", "the `ID` at Stripe of what was paid, pi_... or cs_...")
	flags.StringVar(&f.desk, "desk", "", "the `METHOD` by which it was paid at the desk, such as cash or terminal")
	flags.BoolVar(&f.free, "free", false, "the booking costs nothing")
	flags.StringVar(&f.request.Reference, "reference", "",
		"a `TEXT` that identifies the booking in your books, such as the number of a receipt")
	return cmd
}

// check returns how the booking was paid, and sets the idempotency key.
func (f *bookingFlags) check() (payments.PaidBy, error) {
	var by payments.PaidBy
	given := 0
	for _, set := range []bool{f.payment != "", f.desk != "", f.free} {
		if set {
			given++
		}
	}
	if given != 1 {
		return by, usagef("give one of --payment, --desk and --free")
	}
	if f.start == "" {
		return by, usagef("--start is missing; it is a time such as 2026-12-01T10:00:00+01:00")
	}
	start, err := time.Parse(time.RFC3339, f.start)
	if err != nil {
		return by, usagef("--start %q: want a time with an offset, such as 2026-12-01T10:00:00+01:00", f.start)
	}
	f.request.Start = start
	switch {
	case f.payment != "":
		if !strings.HasPrefix(f.payment, "pi_") && !strings.HasPrefix(f.payment, "cs_") {
			return by, usagef("--payment %q: want the id of a PaymentIntent (pi_...) or Checkout Session (cs_...)",
				f.payment)
		}
		// The payment itself identifies the booking.
		by.StripeID = f.payment
		return by, nil
	case f.desk != "":
		by.Desk = &payments.DeskPayment{Method: f.desk, Reference: f.request.Reference, Actor: operator}
	}
	text, _ := json.Marshal([]any{f.request, f.desk})
	sum := sha256.Sum256(text)
	f.request.IdempotencyKey = "host booking add " + hex.EncodeToString(sum[:])
	return by, nil
}

// bookingFlagOf are the flags of the fields that a refusal names.
var bookingFlagOf = map[string]string{
	"resource": "resource", "start": "start", "party": "party", "offer": "offer", "firstName": "first-name",
	"lastName": "last-name", "email": "email", "phone": "phone", "note": "note", "reference": "reference",
	"language": "language", "method": "desk",
}

type addedJSON struct {
	ID   string `json:"id"`
	Link string `json:"link"`
}

func (c *cli) addBooking(ctx context.Context, req booking.HoldRequest, by payments.PaidBy) error {
	if err := c.requireKeptSecret(); err != nil {
		return err
	}
	return c.withPayments(ctx, func(p *payments.Payments) error {
		booked, err := p.BookPaid(booking.WithActor(ctx, operator), req, by)
		if err != nil {
			return explainAdd(err, by)
		}
		b := booked.Booking
		if b.Status != booking.StatusConfirmed {
			return fmt.Errorf("this command made booking %s, which is %s now; for another one give another --reference",
				b.ID, b.Status)
		}
		return c.printer().Line(b.ID+" "+booked.URL, addedJSON{b.ID, booked.URL})
	})
}

func explainAdd(err error, by payments.PaidBy) error {
	var invalid *booking.ValidationError
	var amount *payments.AmountError
	switch {
	case errors.As(err, &invalid):
		for field, text := range invalid.Fields {
			if field == "resource" {
				text += "; host resource list prints those that do"
			}
			if flag, ok := bookingFlagOf[field]; ok {
				return usagef("--%s %s", flag, text)
			}
			return fmt.Errorf("%s %s", field, text)
		}
	case errors.As(err, &amount):
		return fmt.Errorf("%s was paid with %s, and the booking costs %s; nothing was changed", by.StripeID,
			amount.Amount, amount.Price)
	case errors.Is(err, payments.ErrNotFound):
		return fmt.Errorf("%s is not known at Stripe; is STRIPE_SECRET_KEY of its account and mode?", by.StripeID)
	case errors.Is(err, payments.ErrNotPayable) && by.StripeID == "" && by.Desk == nil:
		return errors.New("--free: the booking costs money; nothing was changed; give --desk or --payment")
	case errors.Is(err, booking.ErrSlotTaken) && by.StripeID != "":
		return errors.New("the slot is taken; nothing was changed; refund the payment in Stripe's dashboard, " +
			"or give another --start")
	case errors.Is(err, booking.ErrSlotTaken):
		return errors.New("the slot is taken; nothing was changed")
	}
	return err
}
