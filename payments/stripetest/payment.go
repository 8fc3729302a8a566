package stripetest

import "maps"

// Payment methods, by the names Stripe gives them.
const (
	card      = "card"
	bankDebit = "sepa_debit"
)

// charge makes the payment intent and the charge of a session that is being
// paid, both still on their way. Callers hold s.mu.
func (s *Server) charge(sess *Session, method string) *Charge {
	now := s.now().UTC()
	intent := &PaymentIntent{
		ID:        newID("pi_3", 23),
		SessionID: sess.ID,
		ChargeID:  newID("ch_3", 23),
		Amount:    sess.AmountTotal,
		Currency:  sess.Currency,
		Status:    IntentProcessing,
		Metadata:  maps.Clone(sess.PaymentIntentMetadata),
		CreatedAt: now,
		method:    method,
	}
	charge := &Charge{
		ID:              intent.ChargeID,
		PaymentIntentID: intent.ID,
		SessionID:       sess.ID,
		Amount:          intent.Amount,
		Currency:        intent.Currency,
		Status:          ChargePending,
		Metadata:        maps.Clone(intent.Metadata), // Stripe copies it once
		CreatedAt:       now,
		email:           sess.PaidByEmail,
		method:          method,
	}
	sess.PaymentIntentID = intent.ID
	s.intents.add(intent.ID, intent, s.keep)
	s.charges.add(charge.ID, charge, s.keep)
	return charge
}

// capture notes that a charge's money has come. Callers hold s.mu.
func (s *Server) capture(sess *Session, charge *Charge) {
	sess.PaymentStatus = Paid
	charge.Status = ChargeSucceeded
	if intent, ok := s.intents.byID[charge.PaymentIntentID]; ok {
		intent.Status = IntentSucceeded
	}
	s.book(charge.Currency, func(m *Money) { m.Captured += charge.Amount })
}
