package stripetest

import "slices"

var (
	retrieveParameters = setOf("expand[]")
	expireParameters   = setOf("expand[]")
	listParameters     = setOf("expand[]", "limit", "payment_intent", "starting_after", "status")
)

// list is a page of objects, as Stripe answers with it.
type list[T any] struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []T    `json:"data"`
}

// page returns the objects that are wanted, newest first, as many as the
// parameter limit says (10 without it), from the one after starting_after on.
// The ids are in the order of their objects, oldest first; kind is what Stripe
// calls them. Callers hold s.mu.
func page[T any](c *call, kind string, ids []string, take func(id string) (object T, wanted bool)) (any, error) {
	limit := int64(10)
	var err error
	if c.form.has("limit") {
		if limit, err = c.form.integer("limit", 1, 100); err != nil {
			return nil, err
		}
	}
	end := len(ids)
	if after := c.form.get("starting_after"); after != "" {
		if end = slices.Index(ids, after); end < 0 {
			return nil, noSuch(kind, "starting_after", after)
		}
	}
	l := list[T]{Object: "list", URL: c.URL.Path, Data: []T{}}
	for _, id := range slices.Backward(ids[:end]) {
		object, wanted := take(id)
		if !wanted {
			continue
		}
		if int64(len(l.Data)) == limit {
			l.HasMore = true
			break
		}
		l.Data = append(l.Data, object)
	}
	return l, nil
}

// retrieveSession answers GET /v1/checkout/sessions/{id}.
func (s *Server) retrieveSession(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[c.PathValue("id")]
	if !ok {
		return nil, noSuch("checkout.session", "session", c.PathValue("id"))
	}
	return sess.snapshot(), nil
}

// listSessions answers GET /v1/checkout/sessions, newest first.
func (s *Server) listSessions(c *call) (any, error) {
	status := Status(c.form.get("status"))
	if !slices.Contains([]Status{"", Open, Complete, Expired}, status) {
		return nil, invalid("status", "", "Invalid status: must be one of open, complete, or expired")
	}
	intent := c.form.get("payment_intent")

	s.lock()
	defer s.mu.Unlock()
	return page(c, "checkout.session", s.order, func(id string) (Session, bool) {
		sess := s.sessions[id]
		return sess.snapshot(), (status == "" || sess.Status == status) &&
			(intent == "" || sess.PaymentIntentID == intent)
	})
}
