package stripetest

// MakeRefundsPending makes the next n refunds pending instead of succeeded, as
// those of bank debits are, or of an account without enough balance. They stay
// pending until SettleRefund, FailRefund or CancelRefund.
func (s *Server) MakeRefundsPending(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pendingRefunds = n
}

// MakeRefundsRequireAction makes the next n refunds require an action of their
// customers, who are asked for a bank account by e-mail. They stay so until
// SettleRefund, FailRefund or CancelRefund.
func (s *Server) MakeRefundsRequireAction(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actionRefunds = n
}

// SettleRefund lets a pending refund succeed; refund.updated and
// charge.refund.updated go out, and are not waited for. It returns ErrNotFound,
// or the refund and ErrNotPending.
func (s *Server) SettleRefund(id string) (Refund, error) {
	return s.moveRefund(id, RefundSucceeded, "")
}

// FailRefund lets a refund fail, a pending one or, as happens when the bank finds
// the card closed days later, one that had succeeded: its amount is taken off the
// charge's amount_refunded and can be refunded again; refund.updated and
// charge.refund.updated go out, and are not waited for. The reason is Stripe's
// failure_reason, such as expired_or_canceled_card; empty means unknown. It
// returns ErrNotFound, or the refund and ErrNotPending.
func (s *Server) FailRefund(id, reason string) (Refund, error) {
	if reason == "" {
		reason = "unknown"
	}
	return s.moveRefund(id, RefundFailed, reason)
}

// CancelRefund cancels a refund that is pending or requires an action, as
// FailRefund fails one.
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
	return r.snapshot(), nil
}
