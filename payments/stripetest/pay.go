package stripetest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
)

// Sessions returns all sessions, newest first, the newest 10,000 of them.
func (s *Server) Sessions() []Session {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Session, 0, len(s.order))
	for i := len(s.order) - 1; i >= 0; i-- {
		all = append(all, s.sessions[s.order[i]].snapshot())
	}
	return all
}

// Session returns one session, or ErrNotFound.
func (s *Server) Session(id string) (Session, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[id]
	if !ok {
		return Session{}, ErrNotFound
	}
	return sess.snapshot(), nil
}

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

// expireSession answers POST /v1/checkout/sessions/{id}/expire.
func (s *Server) expireSession(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, err := s.open(c.PathValue("id"))
	if sess == nil {
		return nil, noSuch("checkout.session", "session", c.PathValue("id"))
	}
	if err != nil {
		return nil, refused(http.StatusBadRequest, "",
			"Only Checkout Sessions with a status in [\"open\"] can be expired. "+
				"This Checkout Session has a status of `%s`.", sess.Status)
	}
	s.expire(sess, c)
	return sess.snapshot(), nil
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

// add remembers a new session, and forgets the oldest when there are too many.
// Callers hold s.mu.
func (s *Server) add(sess *Session) {
	s.sessions[sess.ID] = sess
	s.order = append(s.order, sess.ID)
	if len(s.order) > s.keep {
		delete(s.sessions, s.order[0])
		s.order = s.order[1:]
	}
	s.expiresAt(sess.ExpiresAt)
}
