package stripetest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// eventsKept is how long the API answers with an event.
const eventsKept = 30 * 24 * time.Hour

var eventListParameters = setOf("created", "created[gt]", "created[gte]", "created[lt]", "created[lte]",
	"delivery_success", "expand[]", "limit", "starting_after", "type", "types[]")

// retrieveEvent answers GET /v1/events/{id}.
func (s *Server) retrieveEvent(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	e := s.find(c.PathValue("id"))
	if e == nil || s.past(e) {
		return nil, noSuch("event", "id", c.PathValue("id"))
	}
	return e.now(), nil
}

// listEvents answers GET /v1/events, newest first.
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

// now is the event as the API shows it now: only whether its webhook is still to
// be delivered changes.
func (e *event) now() eventBody {
	body := e.body
	if e.Delivered {
		body.PendingWebhooks = 0
	}
	return body
}

// past tells whether an event is too old to be asked for. Callers hold s.mu.
func (s *Server) past(e *event) bool { return s.now().Sub(e.CreatedAt) > eventsKept }

// matchesType compares a type with a name, or a group of names such as charge.*.
func matchesType(pattern, eventType string) bool {
	if before, after, group := strings.Cut(pattern, "*"); group {
		return len(eventType) >= len(before)+len(after) &&
			strings.HasPrefix(eventType, before) && strings.HasSuffix(eventType, after)
	}
	return pattern == eventType
}

// createdWithin is what the parameter created asks for: a second, or bounds.
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
