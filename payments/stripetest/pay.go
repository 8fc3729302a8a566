package stripetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
)

// Pay does what the customer does who pays: the session is complete, its payment
// status paid (or, when its total is zero, no_payment_required as before), and
// checkout.session.completed goes out. A session created without customer_email
// is paid by customer@example.com.
//
// It returns when that event was answered for the first time, whatever the
// answer, as Stripe's page does before it sends the customer back. The context
// bounds only this waiting, which ends after ten seconds anyway: with an error,
// the session is returned and paid nevertheless. Errors are ErrNotFound and
// ErrNotOpen (of many who pay one session at once, one succeeds), the context's,
// and ErrNoAnswer.
func (s *Server) Pay(ctx context.Context, id string) (Session, error) {
	return s.pay(ctx, id, "", card)
}

func (s *Server) pay(ctx context.Context, id, email, method string) (Session, error) {
	s.lock()
	sess, err := s.open(id)
	if err != nil {
		defer s.mu.Unlock()
		if sess == nil {
			return Session{}, err
		}
		return sess.snapshot(), err
	}
	sess.Status = Complete
	sess.URL = ""
	sess.PaidByEmail = cmp.Or(sess.CustomerEmail, email, "customer@example.com")
	if sess.AmountTotal > 0 {
		charge := s.charge(sess, method)
		if method == card {
			s.capture(sess, charge)
		}
	}
	ev := s.emit("checkout.session.completed", sess.ID, sess.ID, sess, nil)
	paid := sess.snapshot()
	s.mu.Unlock()

	s.log.InfoContext(ctx, "stripetest: session complete", "session", id, "payment_status", paid.PaymentStatus, "event",
		ev.ID)
	if err := s.awaitFirstAnswer(ctx, ev); err != nil {
		return paid, fmt.Errorf("stripetest: wait for the first answer to %s: %w", ev.ID, err)
	}
	return paid, nil
}

// Decline does what the customer does whose card is declined: nothing changes,
// the session stays open and can still be paid. It returns ErrNotFound, or
// ErrNotOpen when the session could not be paid any more.
func (s *Server) Decline(id string) error {
	s.lock()
	defer s.mu.Unlock()
	_, err := s.open(id)
	return err
}

// Expire ends an open session before its time, as the API's expire does, and
// checkout.session.expired goes out. It does not wait for it. It returns
// ErrNotFound, or the session and ErrNotOpen.
func (s *Server) Expire(id string) (Session, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, err := s.open(id)
	if sess == nil {
		return Session{}, err
	}
	if err == nil {
		s.expire(sess, nil)
	}
	return sess.snapshot(), err
}

// open returns a session that can still be paid; one that cannot comes with
// ErrNotOpen, none with ErrNotFound. Callers hold s.mu.
func (s *Server) open(id string) (*Session, error) {
	sess, ok := s.sessions[id]
	if !ok {
		return nil, ErrNotFound
	}
	if sess.Status != Open {
		return sess, ErrNotOpen
	}
	return sess, nil
}

// expire ends an open session; c is the call that asked for it, nil when none
// did. Callers hold s.mu.
func (s *Server) expire(sess *Session, c *call) {
	sess.Status = Expired
	sess.URL = ""
	s.emit("checkout.session.expired", sess.ID, sess.ID, sess, c)
}

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
