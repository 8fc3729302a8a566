package faults_test

import (
	"context"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Steps of stories: what customers, banks and staff do at Stripe.

func pay(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.Pay(context.Background(), id); return err }
}

func payDelayed(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.PayDelayed(context.Background(), id); return err }
}

func payIntent(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.PayIntent(context.Background(), id); return err }
}

func debitIntent(s *stripetest.Server, id string, end func(string) (stripetest.PaymentIntent, error)) func() error {
	return func() error {
		_, err := s.PayIntentDelayed(context.Background(), id)
		if err == nil {
			_, err = end(id)
		}
		return err
	}
}

// refund refunds in Stripe's dashboard, at once or pending until it ends as given.
func refund(s *stripetest.Server, id string, amount int64, end stripetest.RefundStatus) func() error {
	return func() error {
		if end != "" {
			s.MakeRefundsPending(1)
		}
		made, err := s.RefundFromDashboard(id, amount)
		if err != nil {
			return err
		}
		switch end {
		case stripetest.RefundSucceeded:
			_, err = s.SettleRefund(made)
		case stripetest.RefundFailed:
			_, err = s.FailRefund(made, "expired_or_canceled_card")
		}
		return err
	}
}

func dispute(s *stripetest.Server, id string) func() error {
	return func() error { _, err := s.Dispute(id); return err }
}

func closeDispute(s *stripetest.Server, id string, won bool) func() error {
	return func() error { _, err := s.CloseDispute(id, won); return err }
}

// disputeOf opens a dispute of a part, or an inquiry; 0 is all that is left.
func disputeOf(s *stripetest.Server, id string, amount int64, inquiry bool) func() error {
	return func() error {
		_, err := s.OpenDispute(id, stripetest.NewDispute{Amount: amount, Inquiry: inquiry})
		return err
	}
}

func endDispute(s *stripetest.Server, id string, status stripetest.DisputeStatus) func() error {
	return func() error { _, err := s.EndDispute(id, status); return err }
}
