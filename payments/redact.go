package payments

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/form"
)

// redactingBackend redacts the errors of a stripe.Backend.
type redactingBackend struct{ stripe.Backend }

func (b redactingBackend) Call(method, path, key string, params stripe.ParamsContainer,
	v stripe.LastResponseSetter) error {
	return redact(b.Backend.Call(method, path, key, params, v))
}

func (b redactingBackend) CallRaw(method, path, key string, body *form.Values, params *stripe.Params,
	v stripe.LastResponseSetter) error {
	return redact(b.Backend.CallRaw(method, path, key, body, params, v))
}

// redactedError replaces the text of an error.
type redactedError struct {
	text string
	err  error
}

func (e redactedError) Error() string { return e.text }

func (e redactedError) Unwrap() error { return e.err }

// redact removes Stripe's message and the request URL from err: they can contain the API
// key, customers' names and session ids (a session id opens the booking's page). The
// wrapped error stays available to errors.Is and errors.As.
func redact(err error) error {
	var se *stripe.Error
	var ue *url.Error
	status := 0
	switch {
	case err == nil:
		return nil
	case errors.As(err, &se):
		words := fmt.Sprintf("Stripe answered %d %s %s %s %s", se.HTTPStatusCode, se.Type, se.Code, se.Param,
			se.RequestID)
		return redactedError{strings.Join(strings.Fields(words), " "), err}
	case errors.As(err, &ue):
		return redactedError{ue.Op + ": " + ue.Err.Error(), err}
	case strings.HasPrefix(err.Error(), "Couldn't deserialize JSON"):
		// The library's text quotes the beginning of an answer that is not JSON.
		_, _ = fmt.Sscanf(err.Error(), "Couldn't deserialize JSON (response status: %d,", &status)
		return redactedError{fmt.Sprintf("an answer with status %d that is not from Stripe's API", status), err}
	case json.Valid([]byte(err.Error())):
		// The library returns JSON without an error as the text.
		return redactedError{"an answer that is not from Stripe's API", err}
	}
	return err
}
