package stripetest

import (
	"fmt"
	"net/http"
	"slices"
)

var refundParameters = setOf("amount", "charge", "expand[]", "metadata[]", "payment_intent", "reason")

// createRefund answers POST /v1/refunds.
func (s *Server) createRefund(c *call) (any, error) {
	made, err := s.parseRefund(c)
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(c.Context(), "stripetest: refund made", "refund", made.ID, "charge", made.ChargeID,
		"amount", made.Amount, "currency", made.Currency, "status", made.Status, "stripe_request_id", c.requestID)
	if s.opts.OnRefund != nil {
		s.opts.OnRefund(made.snapshot())
	}
	return made, nil
}

// parseRefund checks the parameters of a refund and makes it.
func (s *Server) parseRefund(c *call) (Refund, error) {
	s.lock()
	defer s.mu.Unlock()
	wanted := Refund{Reason: c.form.get("reason")}
	var err error
	if wanted.Metadata, err = c.form.metadata("metadata"); err != nil {
		return Refund{}, err
	}
	if !slices.Contains([]string{"", "duplicate", "fraudulent", "requested_by_customer"}, wanted.Reason) {
		return Refund{}, invalid("reason", "",
			"Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer")
	}
	if c.form.has("amount") {
		if wanted.Amount, err = c.form.integer("amount", 1, largestAmount); err != nil {
			return Refund{}, err
		}
	}
	charge, err := s.refundCharge(c.form)
	if err != nil {
		return Refund{}, err
	}
	r, err := s.refund(charge, wanted, c)
	if err != nil {
		return Refund{}, err
	}
	return r.snapshot(), nil
}

// refundCharge returns the charge that a call wants refunded. Callers hold s.mu.
func (s *Server) refundCharge(f form) (*Charge, error) {
	chargeID, intentID := f.get("charge"), f.get("payment_intent")
	switch {
	case chargeID == "" && intentID == "":
		return nil, refused(http.StatusBadRequest, "", "One of the following params should be provided for this "+
			"request: payment_intent or charge.")
	case chargeID != "" && intentID != "":
		return nil, refused(http.StatusBadRequest, "",
			"You may only specify one of these parameters: charge, payment_intent.")
	case chargeID != "":
		if charge, ok := s.charges.byID[chargeID]; ok {
			return charge, nil
		}
		return nil, invalid("id", "resource_missing", "No such charge: '%s'", chargeID)
	}
	if intent, ok := s.intents.byID[intentID]; ok {
		if charge, ok := s.charges.byID[intent.ChargeID]; ok {
			return charge, nil
		}
	}
	return nil, invalid("payment_intent", "resource_missing", "No such payment_intent: '%s'", intentID)
}

// refund makes a refund of a charge: all that is left when no amount is wanted.
// c is the call that asked for it, nil when it is made by hand. Callers hold s.mu.
func (s *Server) refund(charge *Charge, wanted Refund, c *call) (*Refund, error) {
	left := charge.Unrefunded() - s.withdrawn(charge.ID)
	if wanted.Amount == 0 {
		wanted.Amount = left
	}
	switch {
	case charge.Status != ChargeSucceeded:
		return nil, refused(http.StatusBadRequest, "",
			"This PaymentIntent (%s) does not have a successful charge to refund.",
			charge.PaymentIntentID)
	case !s.refundable(charge):
		return nil, refused(http.StatusBadRequest, "charge_disputed",
			"Charge %s has been charged back; cannot issue a refund.", charge.ID)
	case left <= 0:
		return nil, refused(http.StatusBadRequest, "charge_already_refunded", "Charge %s has already been refunded.",
			charge.ID)
	case wanted.Amount > left:
		e := invalid("amount", "", "Refund amount (%s) is greater than unrefunded amount on charge (%s)",
			formatAmount(wanted.Amount, charge.Currency), formatAmount(left, charge.Currency))
		e.Executed = true
		return nil, e
	}
	if wanted.Amount < left {
		if err := refuseDigits("amount", wanted.Amount, charge.Currency); err != nil {
			return nil, err
		}
	}
	r := wanted
	r.ID = newID("re_3", 23)
	r.ChargeID, r.PaymentIntentID, r.SessionID = charge.ID, charge.PaymentIntentID, charge.SessionID
	r.Currency = charge.Currency
	r.CreatedAt = s.now().UTC()
	r.Status = RefundSucceeded
	if s.opts.PendingRefunds || s.pendingRefunds > 0 {
		s.pendingRefunds = max(s.pendingRefunds-1, 0)
		r.Status = RefundPending
	}
	if s.actionRefunds > 0 {
		s.actionRefunds--
		r.Status = RefundRequiresAction
	}
	if r.Metadata == nil {
		r.Metadata = map[string]string{}
	}
	charge.AmountRefunded += r.Amount
	s.book(r.Currency, func(m *Money) { *m.of(r.Status) += r.Amount })
	s.refunds.add(r.ID, &r, s.keep)
	s.emit("refund.created", r.SessionID, r.ID, r, c)
	s.emit("charge.refunded", r.SessionID, charge.ID, charge, c)
	return &r, nil
}

// of is where a refund of a status is booked; one that has failed, nowhere.
func (m *Money) of(status RefundStatus) *int64 {
	switch status {
	case RefundPending, RefundRequiresAction:
		return &m.Pending
	case RefundSucceeded:
		return &m.Refunded
	}
	return new(int64)
}

// RefundFromDashboard does what somebody does who refunds a payment by hand, on
// Stripe's pages: the program hears of it by webhook only. The id is that of the
// session, the payment intent or the charge; amount is in minor units of its
// currency, 0 all that is left. It does not wait for the events.
//
// It returns the refund's id; ErrNotFound for an unknown id and for a session
// without a payment; and what the API would refuse, as an error that says so.
func (s *Server) RefundFromDashboard(id string, amount int64) (string, error) {
	s.lock()
	defer s.mu.Unlock()
	charge, err := s.chargeOf(id)
	if err != nil {
		return "", err
	}
	if amount < 0 {
		return "", fmt.Errorf("stripetest: refund: a negative amount: %d", amount)
	}
	r, err := s.refund(charge, Refund{Amount: amount, ByHand: true}, nil)
	if err != nil {
		return "", fmt.Errorf("stripetest: refund: %w", err)
	}
	return r.ID, nil
}
