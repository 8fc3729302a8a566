package stripetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const firstAnswerWithin = 10 * time.Second

// WaitDelivered waits until the given events, or all if none are given, have been
// answered with a 2xx. Held events and planned copies are waited for, lost ones only if
// named. It returns ErrNotFound, an error for an event that was given up or lost, or the
// context's error: use a deadline. Without a webhook URL it returns at once.
func (s *Server) WaitDelivered(ctx context.Context, eventIDs ...string) error {
	return s.await(ctx, func() (bool, error) {
		if len(eventIDs) == 0 {
			return len(s.pending) == 0 && len(s.held) == 0, nil
		}
		for _, id := range eventIDs {
			e := s.find(id)
			switch {
			case e == nil:
				return false, fmt.Errorf("%w: event %s", ErrNotFound, id)
			case e.GivenUp && !e.Delivered:
				return false, fmt.Errorf("stripetest: event %s was given up", id)
			case e.Lost && !e.Delivered:
				return false, fmt.Errorf("stripetest: event %s was lost", id)
			case !e.Delivered && s.opts.WebhookURL != "":
				return false, nil
			}
		}
		return true, nil
	})
}

// Resend delivers an event n more times at once, whatever its state, and returns the
// attempts. It needs no Run. It returns ErrNotFound, or an error without a webhook URL.
func (s *Server) Resend(ctx context.Context, eventID string, n int) ([]Attempt, error) {
	if s.opts.WebhookURL == "" {
		return nil, errors.New("stripetest: resend: no webhook URL")
	}
	s.mu.Lock()
	e := s.find(eventID)
	s.mu.Unlock()
	if e == nil {
		return nil, fmt.Errorf("%w: event %s", ErrNotFound, eventID)
	}
	attempts := make([]Attempt, n)
	var all sync.WaitGroup
	for i := range attempts {
		all.Go(func() {
			a := s.post(ctx, e.Payload, s.opts.Now())
			attempts[i] = a
			s.mu.Lock()
			defer s.mu.Unlock()
			s.record(e, a)
			if a.OK() {
				s.pending = slices.DeleteFunc(s.pending,
					func(one *shipment) bool { return one.event == e && !one.inFlight })
			}
		})
	}
	all.Wait()
	return attempts, nil
}

// awaitFirstAnswer does not wait for an event that is held, lost or delayed.
func (s *Server) awaitFirstAnswer(ctx context.Context, e *event) error {
	if s.opts.WebhookURL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, firstAnswerWithin, ErrNoAnswer)
	defer cancel()
	return s.await(ctx, func() (bool, error) { return len(e.Attempts) > 0 || e.Held || e.Lost || e.late, nil })
}

// await calls done under s.mu, after each change, until it returns true or an error.
func (s *Server) await(ctx context.Context, done func() (bool, error)) error {
	for {
		s.lock()
		ok, err := done()
		changed := s.changed
		s.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// Callers hold s.mu.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}
