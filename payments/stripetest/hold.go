package stripetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// HoldDelivery keeps back the webhooks of all events that happen from now on,
// until ReleaseDelivery. Pay does not wait for an answer meanwhile. Without a
// webhook URL it does nothing.
func (s *Server) HoldDelivery() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// ReleaseDelivery delivers what was held back, in an order that the test chooses,
// one after the other, each after the answer to the one before, and returns these
// attempts when all have ended. The function gets the held events, oldest first,
// and returns what is to be sent: in another order, an event twice, an older one
// among them, or fewer; those it leaves out are lost (Event.Lost). Nil sends all
// of them as they are. A delivery that fails is Run's to make again, after a
// pause. Events that happen meanwhile are held too, and delivered as usual
// afterwards.
//
// It returns ErrNotFound for an event that does not exist, before anything is
// sent; an error without a webhook URL or while another call is at it; and the
// context's, with the attempts.
func (s *Server) ReleaseDelivery(ctx context.Context, order func([]Event) []Event) ([]Attempt, error) {
	chosen, end, err := s.beginRelease(order)
	if err != nil {
		return nil, err
	}
	defer end()
	attempts := make([]Attempt, len(chosen))
	for i, e := range chosen {
		attempts[i] = s.post(ctx, e.Payload)
		s.mu.Lock()
		s.record(e, attempts[i])
		s.mu.Unlock()
	}
	return attempts, context.Cause(ctx)
}

// beginRelease returns the events to be sent, and what is to be called when they
// have been.
func (s *Server) beginRelease(order func([]Event) []Event) (chosen []*event, end func(), err error) {
	if s.opts.WebhookURL == "" {
		return nil, nil, errors.New("stripetest: release: no webhook URL")
	}
	s.mu.Lock()
	if s.releasing {
		s.mu.Unlock()
		return nil, nil, errors.New("stripetest: release: another one is at work")
	}
	s.releasing = true
	n := len(s.held)
	events := make([]Event, n)
	for i, e := range s.held {
		events[i] = e.snapshot()
	}
	s.mu.Unlock()

	// The test's function may call the Server, and may panic.
	defer func() {
		if end == nil {
			s.mu.Lock()
			s.releasing = false
			s.mu.Unlock()
		}
	}()
	if order != nil {
		events = order(events)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range events {
		e := s.find(ev.ID)
		if e == nil {
			return nil, nil, fmt.Errorf("%w: event %s", ErrNotFound, ev.ID)
		}
		chosen = append(chosen, e)
	}
	return chosen, func() { s.endRelease(n, chosen) }, nil
}

// endRelease leaves to Run what failed of the first n held events, gives up those
// that were not chosen, and lets later ones go.
func (s *Server) endRelease(n int, chosen []*event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	released, later := s.held[:n], s.held[n:]
	s.held, s.holding, s.releasing = nil, false, false
	for _, e := range released {
		e.Held = false
		e.Lost = !slices.Contains(chosen, e)
		if !e.Lost && !e.Delivered {
			s.pending = append(s.pending, &shipment{event: e, due: s.now().Add(s.opts.Backoff[0]), failures: 1})
		}
	}
	for _, e := range later {
		s.plan(e)
	}
	s.wake()
}
