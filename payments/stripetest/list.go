package stripetest

import "slices"

var (
	retrieveParameters = setOf("expand[]")
	expireParameters   = setOf("expand[]")
	listParameters     = setOf("expand[]", "limit", "payment_intent", "starting_after", "status")
)

// retrieveSession answers GET /v1/checkout/sessions/{id}.
func (s *Server) retrieveSession(c *call) (any, error) {
	s.lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[c.PathValue("id")]
	if !ok {
		return nil, noSuchSession("session", c.PathValue("id"))
	}
	return sess.snapshot(), nil
}

// listSessions answers GET /v1/checkout/sessions, newest first.
func (s *Server) listSessions(c *call) (any, error) {
	limit := int64(10)
	var err error
	if c.form.has("limit") {
		if limit, err = c.form.integer("limit", 1, 100); err != nil {
			return nil, err
		}
	}
	status := Status(c.form.get("status"))
	if !slices.Contains([]Status{"", Open, Complete, Expired}, status) {
		return nil, invalid("status", "", "Invalid status: must be one of open, complete, or expired")
	}
	intent := c.form.get("payment_intent")

	s.lock()
	defer s.mu.Unlock()
	end := len(s.order)
	if after := c.form.get("starting_after"); after != "" {
		if end = slices.Index(s.order, after); end < 0 {
			return nil, noSuchSession("starting_after", after)
		}
	}
	page := struct {
		Object  string    `json:"object"`
		URL     string    `json:"url"`
		HasMore bool      `json:"has_more"`
		Data    []Session `json:"data"`
	}{Object: "list", URL: "/v1/checkout/sessions", Data: []Session{}}
	for _, id := range slices.Backward(s.order[:end]) {
		sess := s.sessions[id]
		if status != "" && sess.Status != status || intent != "" && sess.PaymentIntentID != intent {
			continue
		}
		if int64(len(page.Data)) == limit {
			page.HasMore = true
			break
		}
		page.Data = append(page.Data, sess.snapshot())
	}
	return page, nil
}
