package stripetest

import (
	"net/http"
	"net/url"
	"time"
)

// keyLifetime is how long an idempotency key is stored. Stripe may keep keys longer; here
// they are always forgotten, so that a test sees what follows.
const keyLifetime = 24 * time.Hour

// reply is the request and response of an idempotency key.
type reply struct {
	key       string
	path      string
	params    string
	at        time.Time
	requestID string
	answer    *answer // nil while the first request is still being answered
}

// once executes the first request with a key and repeats its response to later ones.
func (s *Server) once(w http.ResponseWriter, c *call, do endpoint) answer {
	if len(c.key) > 255 {
		return refusal(refused(http.StatusBadRequest, "", "Idempotency keys may be up to 255 characters long."))
	}
	r, replay, err := s.claimKey(c)
	if err != nil {
		return refusal(err)
	}
	w.Header().Set("Original-Request", r.requestID)
	if replay != nil {
		w.Header().Set("Idempotent-Replayed", "true")
		return *replay
	}
	// Deferred, so that a panic frees the key too.
	var stored *answer
	defer func() { s.settleKey(r, stored) }()
	a := s.perform(c, do)
	// Stripe checks parameters before execution and stores nothing for a failed check:
	// the call can be repeated with the same key.
	if a.refusal == nil || a.refusal.Param == "" || a.refusal.Executed {
		stored = &a
	}
	return a
}

// claimKey returns the key's reply, and its answer if stored. Without an answer the reply
// is new and the caller must settle it. It returns an error if the key is being answered
// or belongs to another request.
func (s *Server) claimKey(c *call) (*reply, *answer, error) {
	s.lock()
	defer s.mu.Unlock()
	s.forgetKeys()
	params := url.Values(c.form).Encode()
	r, ok := s.replies[c.key]
	if !ok {
		r = &reply{key: c.key, path: c.URL.Path, params: params, at: s.now(), requestID: c.requestID}
		s.replies[c.key] = r
		s.replyOrder = append(s.replyOrder, r)
		return r, nil, nil
	}
	switch {
	case r.path != c.URL.Path:
		return nil, nil, idempotencyError("Keys for idempotent requests can only be used for the same endpoint "+
			"they were first used for ('%s' vs '%s'). Try using a key other than '%s' if you meant to execute a "+
			"different request.", c.URL.Path, r.path, c.key)
	case r.params != params:
		return nil, nil, idempotencyError("Keys for idempotent requests can only be used with the same parameters "+
			"they were first used with. Try using a key other than '%s' if you meant to execute a different "+
			"request.", c.key)
	case r.answer == nil:
		return nil, nil, s.keyInUse(c.key)
	}
	return r, r.answer, nil
}

// settleKey stores the answer, or frees the key if a is nil.
func (s *Server) settleKey(r *reply, a *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.answer = a
	if a == nil && s.replies[r.key] == r {
		delete(s.replies, r.key)
	}
}

// forgetKeys drops expired keys, and the oldest if there are too many. Callers hold s.mu.
func (s *Server) forgetKeys() {
	limit := s.now().Add(-keyLifetime)
	for len(s.replyOrder) > 0 {
		r := s.replyOrder[0]
		current := s.replies[r.key] == r
		if current && len(s.replyOrder) < s.keep && r.at.After(limit) {
			return
		}
		if current {
			delete(s.replies, r.key)
		}
		s.replyOrder = s.replyOrder[1:]
	}
}

// keyInUse is the error for a repeat while the first call is still executing.
func (s *Server) keyInUse(key string) *apiError {
	e := refused(http.StatusConflict, "idempotency_key_in_use",
		"There is currently another in-progress request using this "+
			"Idempotent Key (that probably means you submitted twice, and the other request is still going through): "+
			"%s. Please try again later.", key)
	if s.opts.KeyInUseType != "" {
		e.Type = s.opts.KeyInUseType
	}
	return e
}

func idempotencyError(format string, args ...any) *apiError {
	e := refused(http.StatusBadRequest, "", format, args...)
	e.Type = "idempotency_error"
	return e
}
