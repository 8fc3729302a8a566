package stripetest

import (
	"slices"
	"time"
)

// Event is something that happened to a session or its money and that webhooks
// tell, as it was at one moment.
type Event struct {
	ID        string
	Type      string // such as checkout.session.completed
	SessionID string // of the session it all began with
	ObjectID  string // of what it is about: a session, a charge, a refund, a dispute
	CreatedAt time.Time
	Payload   []byte // the body of its deliveries: the same bytes each time

	// Attempts are the deliveries that have ended, by Run and by Resend, in the
	// order of their ends.
	Attempts []Attempt

	// Delivered is true once an attempt was answered with a 2xx; GivenUp when
	// three days went by without one. Neither is true while Run has yet to
	// deliver it, and neither ever is without a webhook URL.
	Delivered bool
	GivenUp   bool
}

// Attempt is one delivery of an event.
type Attempt struct {
	At     time.Time
	Status int    // of the answer; 0 when none came
	Error  string // why none came
}

// OK tells whether the attempt counts as delivered.
func (a Attempt) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// LastStatus is the status of the last attempt's answer: 0 when it had none, or
// when there was no attempt yet.
func (e Event) LastStatus() int {
	if len(e.Attempts) == 0 {
		return 0
	}
	return e.Attempts[len(e.Attempts)-1].Status
}

// event is an Event and what Run knows about it.
type event struct {
	Event
	due      time.Time // of the next attempt
	failures int       // attempts by Run that failed
	flying   bool      // an attempt by Run is on its way
}

// Events returns all events, oldest first, the newest 10,000 of them.
func (s *Server) Events() []Event {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Event, 0, len(s.events))
	for _, e := range s.events {
		c := e.Event
		c.Payload = slices.Clone(e.Payload)
		c.Attempts = slices.Clone(e.Attempts)
		all = append(all, c)
	}
	return all
}

// emit records that something happened to an object, because of a call or (nil)
// by a customer, a bank or time alone, and has it delivered. Callers hold s.mu.
func (s *Server) emit(eventType, sessionID, objectID string, object any, c *call) *event {
	now := s.now().UTC()
	request := map[string]any{"id": nil, "idempotency_key": nil}
	if c != nil {
		request["id"] = c.requestID
		request["idempotency_key"] = orNull(c.key)
	}
	e := &event{due: now, Event: Event{ID: newID("evt_1", 23), Type: eventType, SessionID: sessionID, ObjectID: objectID, CreatedAt: now}}
	e.Payload = encode(map[string]any{
		"id":               e.ID,
		"object":           "event",
		"api_version":      APIVersion,
		"created":          now.Unix(),
		"data":             map[string]any{"object": object},
		"livemode":         false,
		"pending_webhooks": 1,
		"request":          request,
		"type":             eventType,
	})
	s.events = append(s.events, e)
	if len(s.events) > s.keep {
		s.events = s.events[1:]
	}
	if s.opts.WebhookURL != "" {
		s.pending = append(s.pending, e)
	}
	s.wake()
	return e
}

// find returns an event, or nil. Callers hold s.mu.
func (s *Server) find(id string) *event {
	for _, e := range slices.Backward(s.events) {
		if e.ID == id {
			return e
		}
	}
	return nil
}
