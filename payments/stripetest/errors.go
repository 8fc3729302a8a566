package stripetest

import (
	"errors"
	"fmt"
	"net/http"
)

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
