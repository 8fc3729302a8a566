package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// operator is the actor of refunds made by a command.
const operator = "operator"

const paymentArgument = "the id of a payment, of its booking, or of its Checkout Session (cs_...) or PaymentIntent (pi_...)"

func (c *cli) paymentCommand() *cobra.Command {
	return c.group("payment", "List payments and make refunds",
		c.jsonFlag(&cobra.Command{
			Use:     "list",
			Short:   "List the payments and refunds that need attention",
			Example: "  host payment list",
			Args:    noArguments,
			RunE:    c.action(c.listPayments),
		}),
		c.jsonFlag(&cobra.Command{
			Use:   "show ID...",
			Short: "Print payments with their refunds and disputes",
			Long:  "Print payments with their refunds and disputes.\n\nID is " + paymentArgument + ".",
			Example: `  host payment show 0193b3a0-0000-7000-8000-000000000000
  host payment show --json cs_live_a1b2c3`,
			Args: arguments(1, -1, paymentArgument),
			RunE: c.action(c.showPayments),
		}),
		c.paymentRefundCommand(),
		c.jsonFlag(&cobra.Command{
			Use:   "retry REFUND-ID",
			Short: "Try a refund again",
			Long: `Try a refund again. A refund that is due is tried at once; one that failed is replaced by a new one.
A running host makes the refund at Stripe.`,
			Example: "  host payment retry 0193b3a0-0000-7000-8000-000000000000",
			Args:    arguments(1, 1, "the id of a refund"),
			RunE:    c.action(c.retryRefund),
		}),
		c.deskRefundedCommand(),
		c.paymentSettleCommand())
}

func (c *cli) deskRefundedCommand() *cobra.Command {
	paid := payments.PaidRefund{Actor: operator}
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "desk-refunded REFUND-ID",
		Short: "Record that a refund was paid by hand",
		Long: `Record that a refund was paid by hand. What a customer paid at the desk is not refunded by Stripe:
host payment list shows such a refund as due by hand until it is recorded here.`,
		Example: "  host payment desk-refunded --reference 'receipt 18' 0193b3a0-0000-7000-8000-000000000000",
		Args:    arguments(1, 1, "the id of a refund"),
		RunE: c.action(func(ctx context.Context, args []string) error {
			paid.RefundID = args[0]
			return c.withPayments(ctx, func(p *payments.Payments) error {
				r, err := p.MarkRefundPaid(ctx, paid)
				if errors.Is(err, payments.ErrNotFound) {
					return fmt.Errorf("there is no refund %q", args[0])
				}
				return c.reportRefund(r, err)
			})
		}),
	})
	cmd.Flags().StringVar(&paid.Reference, "reference", "",
		"a `TEXT` that identifies it in your books, such as the number of a receipt")
	return cmd
}

func (c *cli) paymentSettleCommand() *cobra.Command {
	s := payments.Settlement{Actor: operator}
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "settle --cause TEXT ID",
		Short: "Record what Stripe does not know: a refund paid in another way, or a session that is gone",
		Long: `Record what Stripe does not know.

With the id of a failed refund: you have paid it to the customer in another way, such as by bank
transfer. It counts as refunded, and is not made at Stripe any more.

With the id of a payment, of its booking or of its Checkout Session (cs_...): Stripe does not know
the session any more, because it was deleted there. The payment ends without money. Stripe is asked
first; make sure that STRIPE_SECRET_KEY is the key of the payment's account.

The booking's history records the cause.`,
		Example: `  host payment settle --cause 'bank transfer 42' 0193b3a0-0000-7000-8000-000000000000
  host payment settle --cause 'test data deleted' cs_test_a1b2c3`,
		Args: arguments(1, 1, "the id of a failed refund, of a payment, of its booking or of its Checkout Session (cs_...)"),
		RunE: c.action(func(ctx context.Context, args []string) error {
			if s.Cause == "" {
				return usagef("--cause is missing; it says why, such as --cause 'bank transfer 42'")
			}
			return c.withPayments(ctx, func(p *payments.Payments) error { return c.settle(ctx, p, args[0], s) })
		}),
	})
	cmd.Flags().StringVar(&s.Cause, "cause", "", "a `TEXT` for the booking's history, at most 400 characters")
	return cmd
}

func (c *cli) settle(ctx context.Context, p *payments.Payments, id string, s payments.Settlement) error {
	r, err := p.RecordRefund(ctx, id, s)
	if !errors.Is(err, payments.ErrNotFound) {
		return c.reportRefund(r, err)
	}
	pay, err := findPayment(ctx, p, id)
	if err != nil {
		return err
	}
	if pay, err = p.EndMissingSession(ctx, pay.ID, s); err != nil {
		return settlementError(err)
	}
	return c.printer().Payment(pay, nil, nil)
}

func (c *cli) paymentRefundCommand() *cobra.Command {
	req := payments.RefundRequest{Actor: operator}
	var amount string
	cmd := c.jsonFlag(&cobra.Command{
		Use:   "refund --cause TEXT ID",
		Short: "Refund a payment, or a part of it",
		Long: `Refund a payment, or a part of it.

ID is ` + paymentArgument + `.

The cause identifies the refund: the same cause refunds once, however often it is given.
A running host makes the refund at Stripe.`,
		Example: `  host payment refund --cause 'case 42' 0193b3a0-0000-7000-8000-000000000000
  host payment refund --cause 'case 43' --amount 10.00 cs_live_a1b2c3`,
		Args: arguments(1, 1, paymentArgument),
		RunE: c.action(func(ctx context.Context, args []string) error {
			if req.Cause == "" {
				return usagef("--cause is missing; it identifies the refund, such as --cause 'case 42'")
			}
			return c.refund(ctx, args[0], amount, req)
		}),
	})
	cmd.Flags().StringVar(&amount, "amount", "",
		"the `AMOUNT` in the payment's currency, such as 25.00 (default what is left)")
	cmd.Flags().StringVar(&req.Cause, "cause", "", "the `TEXT` that identifies the refund, such as a case number")
	cmd.Flags().StringVar(&req.Reason, "reason", "",
		"a `TEXT` for staff, at most 500 characters")
	return cmd
}

func (c *cli) withPayments(ctx context.Context, do func(*payments.Payments) error) error {
	return c.withServices(ctx, func(r *services) error { return do(r.payments) })
}

func (c *cli) listPayments(ctx context.Context, _ []string) error {
	return c.withPayments(ctx, func(p *payments.Payments) error {
		found, err := p.NeedingAttention(ctx)
		if err != nil {
			return err
		}
		refunds, err := p.RefundsNeedingAttention(ctx)
		if err != nil {
			return err
		}
		return c.printer().Attention(found, refunds)
	})
}

func (c *cli) showPayments(ctx context.Context, ids []string) error {
	return c.withPayments(ctx, func(p *payments.Payments) error {
		for _, id := range ids {
			pay, err := findPayment(ctx, p, id)
			if err != nil {
				return err
			}
			refunds, err := p.Refunds(ctx, pay.ID)
			if err != nil {
				return err
			}
			disputes, err := p.Disputes(ctx, pay.ID)
			if err != nil {
				return err
			}
			if err := c.printer().Payment(pay, refunds, disputes); err != nil {
				return err
			}
		}
		return nil
	})
}

func findPayment(ctx context.Context, p *payments.Payments, id string) (pay payments.Payment, err error) {
	switch {
	case strings.HasPrefix(id, "cs_"):
		pay, err = p.BySession(ctx, id)
	case strings.HasPrefix(id, "pi_"):
		pay, err = p.ByIntent(ctx, id)
	default:
		if pay, err = p.Get(ctx, id); errors.Is(err, payments.ErrNotFound) {
			pay, err = p.ForBooking(ctx, id)
		}
	}
	if errors.Is(err, payments.ErrNotFound) {
		err = fmt.Errorf("there is no payment of %q; it is %s", id, paymentArgument)
	}
	return pay, err
}

func (c *cli) refund(ctx context.Context, id, amount string, req payments.RefundRequest) error {
	return c.withPayments(ctx, func(p *payments.Payments) error {
		pay, err := findPayment(ctx, p, id)
		if err != nil {
			return err
		}
		req.PaymentID = pay.ID
		if amount != "" {
			money, err := booking.ParseMoney(amount, pay.Captured.Currency)
			if err != nil || money.Minor == 0 {
				return usagef("--amount %q: want an amount in %s, such as %s", amount,
					strings.ToUpper(pay.Captured.Currency), pay.Captured.Decimal())
			}
			req.Amount = money.Minor
		}
		r, err := p.Refund(ctx, req)
		return c.reportRefund(r, err)
	})
}

func (c *cli) retryRefund(ctx context.Context, args []string) error {
	return c.withPayments(ctx, func(p *payments.Payments) error {
		r, err := p.RetryRefund(ctx, args[0], operator)
		if errors.Is(err, payments.ErrNotFound) {
			return fmt.Errorf("there is no refund %q", args[0])
		}
		return c.reportRefund(r, err)
	})
}

// settlementError names the field of an invalid settlement or refund.
func settlementError(err error) error {
	var invalid *booking.ValidationError
	if errors.As(err, &invalid) {
		for field, text := range invalid.Fields {
			return fmt.Errorf("%s %s", field, text)
		}
	}
	return err
}

func (c *cli) reportRefund(r payments.Refund, err error) error {
	if err != nil {
		return settlementError(err)
	}
	return c.printer().Refunds([]payments.Refund{r})
}
