package stripetest

import (
	"encoding/json"
	"maps"
	"time"
)

// RefundStatus is what has become of a refund: Stripe's status.
type RefundStatus string

// The statuses of a refund.
const (
	RefundPending        RefundStatus = "pending"
	RefundRequiresAction RefundStatus = "requires_action"
	RefundSucceeded      RefundStatus = "succeeded"
	RefundFailed         RefundStatus = "failed"
	RefundCanceled       RefundStatus = "canceled"
)

// Refund is money on its way back, as it was at one moment. Its JSON is the
// object that Stripe's API answers with.
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

// MarshalJSON writes the object that Stripe's API answers with.
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
	// Stripe leaves this field out where it has nothing to say.
	if r.FailureReason != "" {
		object["failure_reason"] = r.FailureReason
	}
	return json.Marshal(object)
}

// retrieveRefund answers GET /v1/refunds/{id}.
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

// listRefunds answers GET /v1/refunds, newest first.
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
