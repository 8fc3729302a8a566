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
)

// maxBody bounds a call's parameters. Stripe's own limits on their number and
// length stay far below.
const maxBody = 1 << 20

// call is one API request that was authorized and whose parameters are known.
type call struct {
	*http.Request
	form      form
	requestID string
	key       string // Idempotency-Key, or empty
}

// endpoint does what a call asks for and returns the object to answer with.
type endpoint func(*call) (any, error)

// api mounts an endpoint: authorization, parameters, idempotency and the shape
// of answers are the same for all of them. Nil parameters are not looked at.
func (s *Server) api(pattern string, known set, do endpoint) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		c := &call{Request: r, requestID: newID("req_", 14)}
		fault := s.takeFault(r, false)
		if fault.before(w, r) {
			return
		}
		a := s.answer(w, c, known, do)
		if a.refusal != nil {
			// Its message may repeat what a customer typed.
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
	h.Set("Stripe-Version", APIVersion)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a client that has gone hears nothing; what was done stands
}

// answer is a status and a body, as they are sent and kept for replays.
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

// perform runs an endpoint and encodes what comes out of it.
func (s *Server) perform(c *call, do endpoint) answer {
	if e := s.takeFault(c.Request, true).during(); e != nil {
		return refusal(e)
	}
	object, err := do(c)
	if err != nil {
		return refusal(err)
	}
	return answer{status: http.StatusOK, body: encode(object)}
}

func refusal(err error) answer {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{Status: http.StatusInternalServerError, Type: "api_error", Message: err.Error()}
	}
	return answer{status: e.Status, body: encode(map[string]any{"error": e}), refusal: e}
}

// encode writes JSON as Stripe does, indented.
func encode(object any) []byte {
	body, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		panic(err) // our own types, which always encode
	}
	return body
}

// authorize compares the key, given as a bearer token or as the user name of
// basic authentication. The answer never repeats it.
func (s *Server) authorize(r *http.Request) error {
	key, _, ok := r.BasicAuth()
	if !ok {
		key, ok = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	switch {
	case !ok || key == "":
		return refused(http.StatusUnauthorized, "", "You did not provide an API key. You need to provide "+
			"your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').")
	case subtle.ConstantTimeCompare([]byte(key), []byte(s.opts.SecretKey)) != 1:
		return refused(http.StatusUnauthorized, "", "Invalid API Key provided.")
	}
	return nil
}

// readForm reads the parameters of the query and, for a POST, of the body.
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

// unrecognized answers whatever has no endpoint here.
func unrecognized(c *call) (any, error) {
	return nil, refused(http.StatusNotFound, "", "Unrecognized request URL (%s: %s).", c.Method, c.URL.Path)
}

// ErrNotFound is returned by methods that are given the id of something that
// this server does not know (any more).
var ErrNotFound = errors.New("stripetest: no such object")

// ErrNotOpen is returned when a session that is complete or expired is to be
// paid, declined or expired. The session is returned beside it where the method
// returns one.
var ErrNotOpen = errors.New("stripetest: the session is not open")

// ErrNoAnswer is returned by [Server.Pay] when ten seconds brought no answer to the event
// that says so: nobody delivers (Run is not at work), or the receiver takes longer. The
// session is paid, and the event goes on its way.
var ErrNoAnswer = errors.New("stripetest: no answer within ten seconds (is Run at work?)")

// ErrNotPending is returned when what is to be settled, failed or closed is
// settled already, or was never waiting: a refund, a delayed payment, a dispute.
var ErrNotPending = errors.New("stripetest: nothing is pending")

// apiError is an answer outside 2xx, in the shape Stripe gives it. The error of
// a client library is decoded from it, so names and types are Stripe's.
type apiError struct {
	Status  int    `json:"-"`
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`

	// Executed is true when Stripe finds out only while it executes the call,
	// although the refusal names a parameter: it is stored under the call's key.
	Executed bool `json:"-"`
}

func (e *apiError) Error() string { return e.Message }

// invalid refuses one parameter.
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

// refused is an answer that has nothing to do with one parameter.
func refused(status int, code, format string, args ...any) *apiError {
	e := invalid("", code, format, args...)
	e.Status = status
	return e
}

// noSuch is the answer to a path, or to starting_after, that names what does not exist.
func noSuch(kind, param, id string) *apiError {
	e := invalid(param, "resource_missing", "No such %s: '%s'", kind, id)
	e.Status = http.StatusNotFound
	return e
}

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
