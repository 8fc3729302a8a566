package stripetest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Event is a copy of an event at one moment.
type Event struct {
	ID        string
	Type      string // such as checkout.session.completed
	SessionID string // of the session that was paid
	IntentID  string // of the payment intent, if one is involved
	ObjectID  string // of the session, charge, refund or dispute it is about
	CreatedAt time.Time
	Payload   []byte // the body of each delivery

	// Attempts are completed deliveries by Run, Resend and ReleaseDelivery.
	Attempts []Attempt

	// Delivered: answered with a 2xx. GivenUp: not within three days. Both stay false
	// without a webhook URL.
	Delivered bool
	GivenUp   bool

	Held bool // by HoldDelivery
	Lost bool // never delivered: left out by Options.Deliver or ReleaseDelivery
}

// Attempt is one delivery of an event.
type Attempt struct {
	At     time.Time
	Status int    // of the response; 0 without one
	Error  string // why there was no response
}

// OK reports whether the response was a 2xx.
func (a Attempt) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// LastStatus returns the status of the last attempt, or 0 without a response or attempt.
func (e Event) LastStatus() int {
	if len(e.Attempts) == 0 {
		return 0
	}
	return e.Attempts[len(e.Attempts)-1].Status
}

// event is an Event with its object.
type event struct {
	Event
	body eventBody
	late bool // its first delivery is delayed, so Pay does not wait for it
}

// eventBody is the API's object.
type eventBody struct {
	ID              string         `json:"id"`
	Object          string         `json:"object"`
	APIVersion      string         `json:"api_version"`
	Created         int64          `json:"created"`
	Data            eventData      `json:"data"`
	Livemode        bool           `json:"livemode"`
	PendingWebhooks int            `json:"pending_webhooks"`
	Request         map[string]any `json:"request"`
	Type            string         `json:"type"`
}

type eventData struct {
	Object json.RawMessage `json:"object"`
}

func (e *event) snapshot() Event {
	c := e.Event
	c.Payload = slices.Clone(e.Payload)
	c.Attempts = slices.Clone(e.Attempts)
	return c
}

// Events returns the newest 10,000 events, oldest first.
func (s *Server) Events() []Event {
	s.lock()
	defer s.mu.Unlock()
	all := make([]Event, 0, len(s.events.order))
	for e := range s.events.newestFirst() {
		all = append(all, e.snapshot())
	}
	slices.Reverse(all)
	return all
}

// emit records an event and plans its delivery. c is the causing call, or nil. Callers
// hold s.mu.
func (s *Server) emit(eventType, sessionID, objectID string, object any, c *call) *event {
	now := s.now().UTC()
	request := map[string]any{"id": nil, "idempotency_key": nil}
	if c != nil {
		request["id"] = c.requestID
		request["idempotency_key"] = orNull(c.key)
	}
	e := &event{Event: Event{ID: newID("evt_1", 23), Type: eventType, SessionID: sessionID,
		IntentID: intentIDOf(object), ObjectID: objectID, CreatedAt: now}}
	e.body = eventBody{
		ID:              e.ID,
		Object:          "event",
		APIVersion:      s.opts.APIVersion,
		Created:         now.Unix(),
		Data:            eventData{Object: render(object, s.opts.APIVersion)},
		PendingWebhooks: 1,
		Request:         request,
		Type:            eventType,
	}
	e.Payload = encode(e.body)
	if s.opts.NeverMade != nil && s.opts.NeverMade(e.snapshot()) {
		e.Lost = true
		return e
	}
	s.events.add(e.ID, e, s.keep)
	s.plan(e)
	s.wake()
	return e
}

func intentIDOf(object any) string {
	switch o := object.(type) {
	case *Session:
		return o.PaymentIntentID
	case *PaymentIntent:
		return o.ID
	case *Charge:
		return o.PaymentIntentID
	case Refund:
		return o.PaymentIntentID
	case *Refund:
		return o.PaymentIntentID
	case *Dispute:
		return o.PaymentIntentID
	}
	return ""
}

// Callers hold s.mu.
func (s *Server) find(id string) *event { return s.events.byID[id] }

// eventsKept is how long the API returns an event.
const eventsKept = 30 * 24 * time.Hour

var eventListParameters = setOf("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]",
	"delivery_success", "expand[]", "limit", "starting_after", "type", "types[]")

func (s *Server) retrieveEvent(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	e := s.find(c.PathValue("id"))
	if e == nil || s.past(e) {
		return nil, noSuch("event", "id", c.PathValue("id"))
	}
	return e.now(), nil
}

func (s *Server) listEvents(c *call) (any, error) {
	within, err := createdWithin(c.form)
	if err != nil {
		return nil, err
	}
	success := c.form.get("delivery_success")
	if !slices.Contains([]string{"", "true", "false"}, success) {
		return nil, invalid("delivery_success", "parameter_invalid_boolean", "Invalid boolean: %s", success)
	}
	pattern, types := c.form.get("type"), c.form.list("types")
	switch {
	case pattern != "" && len(types) > 0:
		return nil, invalid("type", "", "You may only specify one of these parameters: type, types.")
	case len(types) > 20:
		return nil, invalid("types", "", "You may specify up to 20 types.")
	}
	s.lock()
	defer s.mu.Unlock()
	return page(c, "event", s.events.order, func(id string) (eventBody, bool) {
		e := s.find(id)
		wanted := !s.past(e) && within(e.body.Created) &&
			(success == "" || strconv.FormatBool(e.Delivered) == success) &&
			(pattern == "" || matchesType(pattern, e.Type)) &&
			(len(types) == 0 || slices.Contains(types, e.Type))
		return e.now(), wanted
	})
}

// pending_webhooks is 0 once delivered.
func (e *event) now() eventBody {
	body := e.body
	if e.Delivered {
		body.PendingWebhooks = 0
	}
	return body
}

// Callers hold s.mu.
func (s *Server) past(e *event) bool { return s.now().Sub(e.CreatedAt) > eventsKept }

// A pattern may be a group of types such as charge.*.
func matchesType(pattern, eventType string) bool {
	if before, after, group := strings.Cut(pattern, "*"); group {
		return len(eventType) >= len(before)+len(after) &&
			strings.HasPrefix(eventType, before) && strings.HasSuffix(eventType, after)
	}
	return pattern == eventType
}

// createdWithin reads the parameter created.
func createdWithin(f form) (func(second int64) bool, error) {
	bounds := map[string]func(at, bound int64) bool{
		"created":      func(at, bound int64) bool { return at == bound },
		"created[gt]":  func(at, bound int64) bool { return at > bound },
		"created[gte]": func(at, bound int64) bool { return at >= bound },
		"created[lt]":  func(at, bound int64) bool { return at < bound },
		"created[lte]": func(at, bound int64) bool { return at <= bound },
	}
	asked := map[string]int64{}
	for name := range bounds {
		if !f.has(name) {
			continue
		}
		bound, err := f.integer(name, 0, 1<<40)
		if err != nil {
			return nil, err
		}
		asked[name] = bound
	}
	return func(second int64) bool {
		for name, bound := range asked {
			if !bounds[name](second, bound) {
				return false
			}
		}
		return true
	}, nil
}
