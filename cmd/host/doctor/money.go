package doctor

import (
	"context"
	"fmt"
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
	// Stripe is not called, so neither the key nor the address is of any use to anyone.
	pay, err := payments.New(e.DB, bookings, "sk_test_doctor", "http://127.0.0.1", payments.Options{})
	if err != nil {
		return nil, err
	}
	b, err := pay.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	return append(refundFindings(b), paymentFindings(b)...), nil
}

func refundFindings(b payments.Backlog) []Finding {
	var found []Finding
	switch stuck, due := b.RefundsStuck, b.RefundsDue; {
	case stuck.Count > 0:
		found = append(found, problem(RefundsStuck, fmt.Sprintf("%d refunds could not be made at Stripe in three tries, the oldest for %s", stuck.Count, age(stuck)),
			"Read last_error of their rows in booking_platform.refunds, and mend what it names: too little balance at Stripe, say; they are tried again by themselves."))
	case due.Age > waitLimit:
		found = append(found, warning(RefundsStuck, fmt.Sprintf("%d refunds are due, the oldest for %s, and nobody makes them", due.Count, age(due)),
			"See that a host runs on this database, and look for payments.SettleRefunds in its log."))
	default:
		found = append(found, ok(RefundsStuck, "no refund is stuck"))
	}
	if failed := b.RefundsFailed; failed.Count > 0 {
		return append(found, problem(RefundsFailed, fmt.Sprintf("%d refunds were refused by Stripe or the customer's bank, the oldest %s ago: the customer has no money", failed.Count, age(failed)),
			"Pay the customer back in another way, or again in Stripe's dashboard, which counts as soon as it is made."))
	}
	return append(found, ok(RefundsFailed, "no refund was refused"))
}

func paymentFindings(b payments.Backlog) []Finding {
	var found []Finding
	if parked := b.Parked; parked.Count > 0 {
		found = append(found, warning(PaymentsParked, fmt.Sprintf("%d payments wait for a person, the oldest for %s", parked.Count, age(parked)),
			"Look at each with host events list -outcome parked, and refund it in Stripe's dashboard, or replay its event with host events replay -outcome parked."))
	} else {
		found = append(found, ok(PaymentsParked, "none waits for a person"))
	}
	if disputed := b.Disputed; disputed.Count > 0 {
		found = append(found, warning(PaymentsDisputed, fmt.Sprintf("%d payments are disputed, the oldest for %s", disputed.Count, age(disputed)),
			"Answer in Stripe's dashboard before the day that is shown there, or the dispute is lost. Refund nothing meanwhile: what is due after it goes back by itself."))
	} else {
		found = append(found, ok(PaymentsDisputed, "none is disputed"))
	}
	overdue, unknown := b.Overdue, b.RefundsUnknown
	switch {
	case overdue.Age > waitLimit || unknown.Age > waitLimit:
		found = append(found, warning(Reconciliation, fmt.Sprintf("Stripe should have been asked about %d payments whose time is over, the oldest for %s, and about the refunds of %d, the oldest for %s",
			overdue.Count, age(overdue), unknown.Count, age(unknown)),
			"See that a host runs on this database, and look for payments.AskStripe, payments.ExpireSessions and payments.LookUpRefunds in its log."))
	default:
		found = append(found, ok(Reconciliation, "Stripe is asked about what it did not tell"))
	}
	return found
}

func age(w payments.Waiting) time.Duration { return w.Age.Round(time.Second) }
