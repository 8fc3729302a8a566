package stripetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// firstAnswerWithin bounds how long the pay page waits for a webhook's first answer.
const firstAnswerWithin = 10 * time.Second

// WaitDelivered waits until the events with these ids, or all events there are
// when none is given, have been answered with a 2xx. It returns ErrNotFound for
// an unknown id, an error for an event that was given up or lost, and the
// context's error when that ends first: give it one with a deadline. Held events
// and planned copies are waited for, lost ones only when they are named. Without a
// webhook URL nothing is delivered and nothing waited for.
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

// Resend delivers an event n more times, all at once and apart from what Run
// does, and returns the attempts when all have ended. It takes up events that
// were delivered, given up or lost, too, as the button in Stripe's dashboard does. It
// returns ErrNotFound for an unknown id and an error without a webhook URL; what
// the receiver answers is in the attempts.
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
			a := s.post(ctx, e.Payload)
			attempts[i] = a
			s.mu.Lock()
			defer s.mu.Unlock()
			s.record(e, a)
			if a.OK() {
				s.pending = slices.DeleteFunc(s.pending,
					func(one *shipment) bool { return one.event == e && !one.flying })
			}
		})
	}
	all.Wait()
	return attempts, nil
}

// awaitFirstAnswer waits for the first attempt to deliver e, successful or not,
// unless none is to be made for now.
func (s *Server) awaitFirstAnswer(ctx context.Context, e *event) error {
	if s.opts.WebhookURL == "" {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, firstAnswerWithin, ErrNoAnswer)
	defer cancel()
	return s.await(ctx, func() (bool, error) { return len(e.Attempts) > 0 || e.Held || e.Lost || e.late, nil })
}

// await returns when done says so, which it asks under s.mu whenever something
// has changed.
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

// wake lets everyone look again who waits for a change. Callers hold s.mu.
func (s *Server) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}
