package stripetest

import (
	"time"
)

// Advance moves the server's clock ahead, in addition to the time that passes:
// sessions past their expires_at expire at once (and their events are due),
// idempotency keys are forgotten, and pauses between deliveries and the three
// days after which they end run out sooner.
//
// Signatures go on carrying the unadvanced time of Options.Now, because the
// receiver, which judges their age, has not moved. It panics when d is negative.
func (s *Server) Advance(d time.Duration) {
	if d < 0 {
		panic("stripetest: Advance by a negative duration")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanced += d
	s.sweep()
	s.wake()
}

// now is the server's time. Callers hold s.mu.
func (s *Server) now() time.Time {
	return s.opts.Now().Add(s.advanced)
}

// lock takes s.mu and lets everything happen that time has brought since, so
// that nobody sees an open session past its end, whether Run is at work or not.
func (s *Server) lock() {
	s.mu.Lock()
	s.sweep()
}

// sweep expires sessions whose time has come. Callers hold s.mu.
func (s *Server) sweep() {
	now := s.now()
	if s.nextExpiry.IsZero() || now.Before(s.nextExpiry) {
		return
	}
	s.nextExpiry = time.Time{}
	for _, id := range s.order {
		sess := s.sessions[id]
		if sess.Status != Open {
			continue
		}
		if now.Before(sess.ExpiresAt) {
			s.expiresAt(sess.ExpiresAt)
			continue
		}
		s.expire(sess, nil)
	}
}

// expiresAt notes that an open session ends at t. Callers hold s.mu.
func (s *Server) expiresAt(t time.Time) {
	if s.nextExpiry.IsZero() || t.Before(s.nextExpiry) {
		s.nextExpiry = t
	}
}
