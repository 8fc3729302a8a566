package stripetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// HoldDelivery holds the webhooks of all new events until ReleaseDelivery. Pay does not
// wait for a response meanwhile. Without a webhook URL it does nothing.
func (s *Server) HoldDelivery() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// ReleaseDelivery delivers the held events one at a time, in the order that order
// returns, and returns the attempts. order gets the held events, oldest first, and may
// return them in another order, repeat some, add older ones or drop some; those dropped
// are lost (Event.Lost). A nil order sends all as they are. Run repeats failed deliveries
// after a pause. Events that occur meanwhile are held, and delivered normally afterwards.
//
// It returns ErrNotFound for an unknown event, before anything is sent; an error without
// a webhook URL or while another call is running; and the context's error with the
// attempts.
func (s *Server) ReleaseDelivery(ctx context.Context, order func([]Event) []Event) ([]Attempt, error) {
	chosen, end, err := s.beginRelease(order)
	if err != nil {
		return nil, err
	}
	defer end()
	attempts := make([]Attempt, len(chosen))
	for i, e := range chosen {
		attempts[i] = s.post(ctx, e.Payload, s.opts.Now())
		s.mu.Lock()
		s.record(e, attempts[i])
		s.mu.Unlock()
	}
	return attempts, context.Cause(ctx)
}

// beginRelease returns the events to send, and what to call afterwards.
func (s *Server) beginRelease(order func([]Event) []Event) (chosen []*event, end func(), err error) {
	if s.opts.WebhookURL == "" {
		return nil, nil, errors.New("stripetest: release: no webhook URL")
	}
	s.mu.Lock()
	if s.releasing {
		s.mu.Unlock()
		return nil, nil, errors.New("stripetest: release: another one is running")
	}
	s.releasing = true
	n := len(s.held)
	events := make([]Event, n)
	for i, e := range s.held {
		events[i] = e.snapshot()
	}
	s.mu.Unlock()

	// order may call the Server, and may panic.
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

// endRelease leaves failed deliveries of the first n held events to Run, marks those not
// chosen as lost, and schedules the later ones.
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
