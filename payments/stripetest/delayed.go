package stripetest

import "context"

// PayDelayed does what the customer does who pays by a delayed method, a bank
// debit: the session is complete and unpaid, its payment intent is processing,
// its charge pending, and checkout.session.completed goes out. Days later comes
// SettlePayment or FailPayment. It waits and fails as Pay does; a session whose
// total is zero is complete without a payment, as with Pay.
func (s *Server) PayDelayed(ctx context.Context, id string) (Session, error) {
	return s.pay(ctx, id, "", bankDebit)
}

// SettlePayment lets the money of a delayed payment come: the session is paid,
// and checkout.session.async_payment_succeeded goes out. It does not wait for it.
// It returns ErrNotFound, or the session and ErrNotPending.
func (s *Server) SettlePayment(id string) (Session, error) {
	return s.endDelayed(id, "checkout.session.async_payment_succeeded", s.capture)
}

// FailPayment lets the bank refuse a delayed payment: the session stays complete
// and unpaid for ever, and checkout.session.async_payment_failed goes out. It
// does not wait for it. It returns ErrNotFound, or the session and ErrNotPending.
func (s *Server) FailPayment(id string) (Session, error) {
	return s.endDelayed(id, "checkout.session.async_payment_failed", func(_ *Session, charge *Charge) {
		const code = "payment_method_provider_decline"
		charge.Status, charge.failure = ChargeFailed, code
		if intent, ok := s.intents.byID[charge.PaymentIntentID]; ok {
			intent.Status, intent.failure = IntentFailed, code
		}
	})
}

func (s *Server) endDelayed(id, event string, end func(*Session, *Charge)) (Session, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[id]
	if !ok {
		return Session{}, ErrNotFound
	}
	charge, err := s.chargeOf(id)
	if err != nil || charge.Status != ChargePending {
		return sess.snapshot(), ErrNotPending
	}
	end(sess, charge)
	s.emit(event, sess.ID, sess.ID, sess, nil)
	return sess.snapshot(), nil
}
