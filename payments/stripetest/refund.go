package stripetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// RefundStatus is a refund's status.
type RefundStatus string

// The statuses of a refund.
const (
	RefundPending        RefundStatus = "pending"
	RefundRequiresAction RefundStatus = "requires_action"
	RefundSucceeded      RefundStatus = "succeeded"
	RefundFailed         RefundStatus = "failed"
	RefundCanceled       RefundStatus = "canceled"
)

// Refund is a copy of a refund at one moment. Its JSON is Stripe's object.
type Refund struct {
	ID              string
	ChargeID        string
	PaymentIntentID string
	SessionID       string
	Amount          int64  // in minor units of Currency
	Currency        string // in lower case
	Status          RefundStatus
	Reason          string // as the call gave it, or empty
	FailureReason   string // of a failed one
	Metadata        map[string]string
	CreatedAt       time.Time
	ByHand          bool // made in the dashboard, not by a call
}

func (r *Refund) snapshot() Refund {
	c := *r
	c.Metadata = maps.Clone(r.Metadata)
	return c
}

// MarshalJSON writes Stripe's object.
func (r Refund) MarshalJSON() ([]byte, error) {
	object := map[string]any{
		"id":             r.ID,
		"object":         "refund",
		"amount":         r.Amount,
		"currency":       r.Currency,
		"charge":         r.ChargeID,
		"payment_intent": r.PaymentIntentID,
		"status":         r.Status,
		"reason":         orNull(r.Reason),
		"metadata":       r.Metadata,
		"created":        r.CreatedAt.Unix(),

		"balance_transaction": nil, "receipt_number": nil, "source_transfer_reversal": nil, "transfer_reversal": nil,
	}
	// Stripe leaves the field out if there is none.
	if r.FailureReason != "" {
		object["failure_reason"] = r.FailureReason
	}
	return json.Marshal(object)
}

func (s *Server) retrieveRefund(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	r, ok := s.refunds.byID[c.PathValue("id")]
	if !ok {
		return nil, noSuch("refund", "refund", c.PathValue("id"))
	}
	return r.snapshot(), nil
}

var refundListParameters = setOf("charge", "created", "created[gt]", "created[gte]", "created[lt]", "created[lte]",
	"expand[]", "limit", "payment_intent", "starting_after")

func (s *Server) listRefunds(c *call) (any, error) {
	charge, intent := c.form.get("charge"), c.form.get("payment_intent")
	within, err := createdWithin(c.form)
	if err != nil {
		return nil, err
	}
	s.lock()
	defer s.mu.Unlock()
	return page(c, "refund", s.refunds.order, func(id string) (Refund, bool) {
		r := s.refunds.byID[id]
		return r.snapshot(), within(r.CreatedAt.Unix()) && (charge == "" || r.ChargeID == charge) &&
			(intent == "" || r.PaymentIntentID == intent)
	})
}

var refundParameters = setOf("amount", "charge", "expand[]", "metadata[]", "payment_intent", "reason",
	"refund_application_fee", "reverse_transfer")

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
	for param, needs := range map[string]string{
		"reverse_transfer":       "payment_intent_data[transfer_data][destination]",
		"refund_application_fee": "payment_intent_data[application_fee_amount]",
	} {
		sess := s.sessions[charge.SessionID]
		if c.form.get(param) == "true" && (sess == nil || !sess.Parameters.Has(needs)) {
			return Refund{}, invalid(param, "", "The charge of this refund was made without %s.", needs)
		}
	}
	r, err := s.refund(charge, wanted, c)
	if err != nil {
		return Refund{}, err
	}
	return r.snapshot(), nil
}

// Callers hold s.mu.
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

// Without an amount all that is left is refunded. c is the call, or nil for the
// dashboard. Callers hold s.mu.
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

// Failed refunds count in no sum.
func (m *Money) of(status RefundStatus) *int64 {
	switch status {
	case RefundPending, RefundRequiresAction:
		return &m.Pending
	case RefundSucceeded:
		return &m.Refunded
	}
	return new(int64)
}

// RefundFromDashboard refunds by hand, so that the program learns of it by webhook only,
// which is not waited for. id is that of the session, payment intent or charge; amount is
// in minor units, 0 for all that is left.
//
// It returns the refund's id, ErrNotFound, also for an unpaid session, or an error with
// the API's message.
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

// MakeRefundsPending makes the next n refunds pending, as for bank debits or a low
// balance, until SettleRefund, FailRefund or CancelRefund.
func (s *Server) MakeRefundsPending(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pendingRefunds = n
}

// MakeRefundsRequireAction makes the next n refunds wait for their customers, whom Stripe
// asks for a bank account, until SettleRefund, FailRefund or CancelRefund.
func (s *Server) MakeRefundsRequireAction(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actionRefunds = n
}

// SettleRefund completes a pending refund: refund.updated and charge.refund.updated are
// sent, not waited for. It returns ErrNotFound, or the refund and ErrNotPending.
func (s *Server) SettleRefund(id string) (Refund, error) {
	return s.moveRefund(id, RefundSucceeded, "")
}

// FailRefund fails a refund, pending or, as when a bank finds the card closed days later,
// succeeded: its amount can be refunded again. Events are those of SettleRefund and,
// since API version 2024-10-28.acacia, refund.failed. reason is Stripe's failure_reason,
// such as expired_or_canceled_card; "" means unknown. Errors are those of SettleRefund.
func (s *Server) FailRefund(id, reason string) (Refund, error) {
	if reason == "" {
		reason = "unknown"
	}
	return s.moveRefund(id, RefundFailed, reason)
}

// CancelRefund is FailRefund for one that Stripe cancels before it succeeds.
func (s *Server) CancelRefund(id string) (Refund, error) {
	return s.moveRefund(id, RefundCanceled, "")
}

func (s *Server) moveRefund(id string, to RefundStatus, reason string) (Refund, error) {
	s.lock()
	defer s.mu.Unlock()
	r, ok := s.refunds.byID[id]
	if !ok {
		return Refund{}, ErrNotFound
	}
	late := r.Status == RefundSucceeded && to == RefundFailed
	if r.Status != RefundPending && r.Status != RefundRequiresAction && !late {
		return r.snapshot(), ErrNotPending
	}
	s.book(r.Currency, func(m *Money) {
		*m.of(r.Status) -= r.Amount
		*m.of(to) += r.Amount
	})
	r.Status, r.FailureReason = to, reason
	if charge, ok := s.charges.byID[r.ChargeID]; ok && to != RefundSucceeded {
		charge.AmountRefunded -= r.Amount
	}
	s.emit("refund.updated", r.SessionID, r.ID, r, nil)
	s.emit("charge.refund.updated", r.SessionID, r.ID, r, nil)
	if to == RefundFailed && since(s.opts.APIVersion, allRefundsFail) {
		s.emit("refund.failed", r.SessionID, r.ID, r, nil)
	}
	return r.snapshot(), nil
}

// Refunds returns the newest 10,000 refunds, newest first.
func (s *Server) Refunds() []Refund {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Refund, 0, len(s.refunds.order))
	for r := range s.refunds.newestFirst() {
		all = append(all, r.snapshot())
	}
	return all
}
