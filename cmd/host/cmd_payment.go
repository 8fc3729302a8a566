package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// Who gives money back by a command is whoever may run it on this machine.
const operator = "operator"

// payment does `host payment list`, `show`, `refund` and `retry`.
func payment(ctx context.Context, args []string, environ map[string]string, std streams) error {
	if len(args) == 0 {
		return errMisunderstood
	}
	switch rest := args[1:]; args[0] {
	case "list":
		return listPaymentsCommand(ctx, rest, environ, std)
	case "show":
		return showPaymentsCommand(ctx, rest, environ, std)
	case "refund":
		return refundCommand(ctx, rest, environ, std)
	case "retry":
		return retryRefundCommand(ctx, rest, environ, std)
	}
	return errMisunderstood
}

// withPayments is withRooms for the payments alone. Nothing is asked of Stripe here: a
// step of a running host does that.
func withPayments(ctx context.Context, environ map[string]string, std streams,
	do func(*payments.Payments) error) error {
	return withRooms(ctx, environ, std, func(r *rooms) error { return do(r.payments) })
}

func listPaymentsCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("list")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errMisunderstood
	}
	return withPayments(ctx, environ, std, func(p *payments.Payments) error {
		troubled, err := p.Troubled(ctx)
		if err != nil {
			return err
		}
		refunds, err := p.TroubledRefunds(ctx)
		if err != nil {
			return err
		}
		return printTroubled(std.out, troubled, refunds, *asJSON)
	})
}

func showPaymentsCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("show")
	asJSON := flags.Bool("json", false, "")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		return errMisunderstood
	}
	return withPayments(ctx, environ, std, func(p *payments.Payments) error {
		for _, id := range flags.Args() {
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
			if err := printPayment(std.out, pay, refunds, disputes, *asJSON); err != nil {
				return err
			}
		}
		return nil
	})
}

// findPayment takes what an operator has at hand: the payment's id, the booking's, or the
// Checkout Session's.
func findPayment(ctx context.Context, p *payments.Payments, id string) (payments.Payment, error) {
	if strings.HasPrefix(id, "cs_") {
		return orUnknown(id)(p.BySession(ctx, id))
	}
	pay, err := p.Get(ctx, id)
	if errors.Is(err, payments.ErrNotFound) {
		pay, err = p.ForBooking(ctx, id)
	}
	return orUnknown(id)(pay, err)
}

// orUnknown says which payment is not there.
func orUnknown(id string) func(payments.Payment, error) (payments.Payment, error) {
	return func(pay payments.Payment, err error) (payments.Payment, error) {
		if errors.Is(err, payments.ErrNotFound) {
			err = fmt.Errorf("there is no payment of %q; it is a payment's id, a booking's, or a Checkout Session's (cs_...)", id)
		}
		return pay, err
	}
}

func refundCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	flags := quietFlags("refund")
	req := payments.RefundRequest{Actor: operator}
	amount := flags.String("amount", "", "")
	flags.StringVar(&req.Cause, "cause", "", "")
	flags.StringVar(&req.Reason, "reason", "", "")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 || req.Cause == "" {
		return errMisunderstood
	}
	return withPayments(ctx, environ, std, func(p *payments.Payments) error {
		pay, err := findPayment(ctx, p, flags.Arg(0))
		if err != nil {
			return err
		}
		req.PaymentID = pay.ID
		if *amount != "" {
			money, err := booking.ParseMoney(*amount, pay.Captured.Currency)
			if err != nil || money.Minor == 0 {
				return fmt.Errorf("the amount %q is none in %s; it is written like %s", *amount,
					strings.ToUpper(pay.Captured.Currency), pay.Captured.Decimal())
			}
			req.Amount = money.Minor
		}
		r, err := p.Refund(ctx, req)
		return reportRefund(std, r, err)
	})
}

func retryRefundCommand(ctx context.Context, args []string, environ map[string]string, std streams) error {
	if len(args) != 1 || strings.HasPrefix(args[0], "-") {
		return errMisunderstood
	}
	return withPayments(ctx, environ, std, func(p *payments.Payments) error {
		r, err := p.RetryRefund(ctx, args[0], operator)
		if errors.Is(err, payments.ErrNotFound) {
			return fmt.Errorf("there is no refund %q", args[0])
		}
		return reportRefund(std, r, err)
	})
}

func reportRefund(std streams, r payments.Refund, err error) error {
	var wrong *booking.ValidationError
	if errors.As(err, &wrong) {
		for field, what := range wrong.Fields {
			return fmt.Errorf("%s %s", field, what)
		}
	}
	if err != nil {
		return err
	}
	return printRefunds(std.out, []payments.Refund{r})
}
