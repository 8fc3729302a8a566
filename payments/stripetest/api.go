package stripetest

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const maxBody = 1 << 20

type call struct {
	*http.Request
	form      form
	requestID string
	key       string // Idempotency-Key, or empty
}

type endpoint func(*call) (any, error)

// With nil parameters none are checked.
func (s *Server) api(pattern string, known set, do endpoint) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, requestID: newID("req_", 14)}
		w.Header().Set("Stripe-Version", s.versionOf(r))
		fault := s.takeFault(r, false)
		if fault.before(w, r) {
			return
		}
		a := s.answer(w, c, known, do)
		if a.refusal != nil {
			// The message is not logged: it may repeat a customer's data.
			s.log.WarnContext(r.Context(), "stripetest: call refused", "method", r.Method, "path", r.URL.Path,
				"status", a.status, "code", a.refusal.Code, "param", a.refusal.Param, "stripe_request_id", c.requestID)
		}
		w.Header().Set("Request-Id", c.requestID)
		if fault.after(w, r) {
			return
		}
		send(w, a)
	})
}

func send(w http.ResponseWriter, a answer) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache, no-store")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the effect stands if the client has disconnected
}

// answer is a response's status and body, also stored for replays.
type answer struct {
	status  int
	body    []byte
	refusal *apiError // nil in a success
}

func (s *Server) answer(w http.ResponseWriter, c *call, known set, do endpoint) answer {
	if err := s.authorize(c.Request); err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Stripe"`)
		return refusal(err)
	}
	var err error
	if c.form, err = readForm(w, c.Request); err != nil {
		return refusal(err)
	}
	if known != nil {
		if err := c.form.refuseUnknown(known); err != nil {
			return refusal(err)
		}
	}
	if c.Method != http.MethodPost || c.Header.Get("Idempotency-Key") == "" {
		return s.perform(c, do)
	}
	c.key = c.Header.Get("Idempotency-Key")
	w.Header().Set("Idempotency-Key", c.key)
	return s.once(w, c, do)
}

func (s *Server) perform(c *call, do endpoint) answer {
	if e := s.takeFault(c.Request, true).during(); e != nil {
		return refusal(e)
	}
	object, err := do(c)
	if err != nil {
		return refusal(err)
	}
	return answer{status: http.StatusOK, body: render(object, s.versionOf(c.Request))}
}

func refusal(err error) answer {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{Status: http.StatusInternalServerError, Type: "api_error", Message: err.Error()}
	}
	return answer{status: e.Status, body: encode(map[string]any{"error": e}), refusal: e}
}

func encode(object any) []byte {
	body, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		panic(err) // our own types, which always encode
	}
	return body
}

// authorize accepts the key as bearer token or basic user name, and never repeats it.
func (s *Server) authorize(r *http.Request) error {
	key, _, ok := r.BasicAuth()
	if !ok {
		key, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	switch {
	case !ok || key == "":
		return refused(http.StatusUnauthorized, "", "You did not provide an API key. You need to provide "+
			"your API key in the Authorization header, using Bearer auth "+
			"(e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	case subtle.ConstantTimeCompare([]byte(key), []byte(s.opts.SecretKey)) != 1:
		return refused(http.StatusUnauthorized, "", "Invalid API Key provided.")
	}
	return nil
}

func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refused(http.StatusBadRequest, "", "Invalid query string.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, refused(http.StatusRequestEntityTooLarge, "", "Request body is too large.")
		}
		return nil, refused(http.StatusBadRequest, "", "The request body could not be read.")
	}
	if len(body) > 0 {
		media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		sent, err := url.ParseQuery(string(body))
		if err != nil || media != "application/x-www-form-urlencoded" {
			return nil, refused(http.StatusBadRequest, "", "Invalid request "+
				"(check that your POST content type is application/x-www-form-urlencoded).")
		}
		for name, v := range sent {
			values[name] = v
		}
	}
	return form(values), nil
}

func unrecognized(c *call) (any, error) {
	return nil, refused(http.StatusNotFound, "", "Unrecognized request URL (%s: %s).", c.Method, c.URL.Path)
}

// ErrNotFound is returned for an unknown or forgotten id.
var ErrNotFound = errors.New("stripetest: no such object")

// ErrNotOpen is returned, with the session, when it is complete or expired.
var ErrNotOpen = errors.New("stripetest: the session is not open")

// ErrNoAnswer is returned by [Server.Pay] when the event was not answered within ten
// seconds. The session is paid and the event is still delivered.
var ErrNoAnswer = errors.New("stripetest: no answer within ten seconds (is Run running?)")

// ErrNotPending is returned for a refund, delayed payment or dispute that has ended.
var ErrNotPending = errors.New("stripetest: nothing is pending")

// apiError is an error response in Stripe's format, with Stripe's types and codes.
type apiError struct {
	Status  int    `json:"-"`
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`

	// Executed marks a parameter's error that Stripe finds during execution, and stores
	// under the idempotency key.
	Executed bool `json:"-"`
}

func (e *apiError) Error() string { return e.Message }

func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{
		Status:  http.StatusBadRequest,
		Type:    "invalid_request_error",
		Code:    code,
		Message: fmt.Sprintf(format, args...),
		Param:   param,
	}
}

func missing(param string) *apiError {
	return invalid(param, "parameter_missing", "Missing required param: %s.", param)
}

func unknown(param string) *apiError {
	return invalid(param, "parameter_unknown", "Received unknown parameter: %s. "+
		"(This is the stripetest stand-in, which knows only a part of Stripe's parameters.)", param)
}

func refused(status int, code, format string, args ...any) *apiError {
	e := invalid("", code, format, args...)
	e.Status = status
	return e
}

func noSuch(kind, param, id string) *apiError {
	e := invalid(param, "resource_missing", "No such %s: '%s'", kind, id)
	e.Status = http.StatusNotFound
	return e
}

var retrieveParameters = setOf("expand[]")

type list[T any] struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []T    `json:"data"`
}

// page returns the wanted objects, newest first, as the parameters limit (default 10) and
// starting_after ask. ids are oldest first. Callers hold s.mu.
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

// keyLifetime is Stripe's minimum; here keys are always forgotten then, so that a test
// sees what follows.
const keyLifetime = 24 * time.Hour

type reply struct {
	key       string
	path      string
	params    string
	at        time.Time
	requestID string
	answer    *answer // nil while the first request is executed
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
	// Stripe stores nothing for a failed check of parameters: the key can be used again.
	if a.refusal == nil || a.refusal.Param == "" || a.refusal.Executed {
		stored = &a
	}
	return a
}

// claimKey returns the key's stored answer, or a new reply that the caller must settle. A
// key that is in use, or of another request, is an error.
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
