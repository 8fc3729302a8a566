package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
)

// payments looks at the money that is not where it belongs.
func (e *examination) payments(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	// Stripe is not called. The key's mode and the account's name tell whose payments are
	// counted; the built-in stand-in is of test mode.
	key := e.Config.StripeSecretKey
	if key == "" || e.wrong("STRIPE_SECRET_KEY") {
		key = "sk_test_doctor"
	}
	pay, err := payments.New(e.DB, bookings, key, "http://127.0.0.1", payments.Options{Account: e.Config.StripeAccount})
	if err != nil {
		return nil, err
	}
	b, err := pay.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Concat(refundFindings(b), paymentFindings(b), otherAccounts(b)), nil
}

// pendingLimit is how long a refund may be on its way at Stripe: banks take ten days.
const pendingLimit = 14 * 24 * time.Hour

func otherAccounts(b payments.Backlog) []Finding {
	if b.OtherAccounts.Age <= waitLimit {
		return nil
	}
	return []Finding{warning(OtherAccounts, fmt.Sprintf("%d payments and refunds of another Stripe account or mode wait, the oldest for %s: this host leaves them alone",
		b.OtherAccounts.Count, age(b.OtherAccounts)),
		"See that a host with their key and STRIPE_ACCOUNT runs, or set the key and the name that they were made with here.")}
}

func refundFindings(b payments.Backlog) []Finding {
	var found []Finding
	switch stuck, due := b.RefundsStuck, b.RefundsDue; {
	case stuck.Count > 0:
		found = append(found, problem(RefundsStuck,
			fmt.Sprintf("%d refunds could not be made at Stripe in three tries, the oldest for %s", stuck.Count,
				age(stuck)),
			"Read last_error of their rows in booking_platform.refunds, and mend what it names: too little balance at Stripe, say; they are tried again by themselves."))
	case due.Age > waitLimit:
		found = append(found, warning(RefundsStuck,
			fmt.Sprintf("%d refunds are due, the oldest for %s, and nobody makes them", due.Count, age(due)),
			"See that a host runs on this database, and look for payments.SettleRefunds in its log."))
	default:
		found = append(found, ok(RefundsStuck, "no refund is stuck"))
	}
	if failed := b.RefundsFailed; failed.Count > 0 {
		return append(found, problem(RefundsFailed, fmt.Sprintf("%d refunds were refused by Stripe or the customer's bank, or canceled at Stripe, the oldest %s ago: the customer has no money", failed.Count, age(failed)),
			"Run host payment list, then host payment retry, or refund it again in Stripe's dashboard, which counts as soon as it is made."))
	}
	if pending := b.RefundsPending; pending.Age > pendingLimit {
		return append(found, warning(RefundsFailed,
			fmt.Sprintf("%d refunds are on their way at Stripe, the oldest for %s", pending.Count, age(pending)),
			"Look at it in Stripe's dashboard: the balance may not cover it, or Stripe waits for the customer; see host payment list."))
	}
	return append(found, ok(RefundsFailed, "no refund was refused"))
}

func paymentFindings(b payments.Backlog) []Finding {
	var found []Finding
	if parked := b.Parked; parked.Count > 0 {
		found = append(found, warning(PaymentsParked,
			fmt.Sprintf("%d payments wait for a person, the oldest for %s", parked.Count, age(parked)),
			"Look at each with host events list --outcome parked, and refund it in Stripe's dashboard, or replay its event with host events replay --outcome parked."))
	} else {
		found = append(found, ok(PaymentsParked, "none waits for a person"))
	}
	if disputed := b.Disputed; disputed.Count > 0 {
		found = append(found, warning(PaymentsDisputed,
			fmt.Sprintf("%d payments are disputed, the oldest for %s", disputed.Count, age(disputed)),
			"Answer in Stripe's dashboard before the day that is shown there, or the dispute is lost. Refund nothing meanwhile: what is due after it goes back by itself."))
	} else {
		found = append(found, ok(PaymentsDisputed, "none is disputed"))
	}
	overdue, unknown := b.Overdue, b.RefundsUnknown
	switch {
	case overdue.Age > waitLimit || unknown.Age > waitLimit:
		found = append(found, warning(Reconciliation, fmt.Sprintf("Stripe should have been asked about %d payments whose time is over, the oldest for %s, and about the refunds of %d, the oldest for %s",
			overdue.Count, age(overdue), unknown.Count, age(unknown)),
			"See that a host runs on this database, and look for payments.ReconcilePayments, payments.ExpireSessions and payments.RefreshRefunds in its log."))
	default:
		found = append(found, ok(Reconciliation, "Stripe is asked about what it did not tell"))
	}
	return found
}

func age(w payments.BacklogCount) time.Duration { return w.Age.Round(time.Second) }
