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

// redactingBackend makes the calls, and returns their errors as they can be logged, by us
// and by who called us.
type redactingBackend struct{ stripe.Backend }

func (b redactingBackend) Call(method, path, key string, params stripe.ParamsContainer,
	v stripe.LastResponseSetter) error {
	return redact(b.Backend.Call(method, path, key, params, v))
}

func (b redactingBackend) CallRaw(method, path, key string, body *form.Values, params *stripe.Params,
	v stripe.LastResponseSetter) error {
	return redact(b.Backend.CallRaw(method, path, key, body, params, v))
}

// discreetError is an error of a call with other words. errors.Is and errors.As find all
// of it.
type discreetError struct {
	said string
	err  error
}

func (e discreetError) Error() string { return e.said }

func (e discreetError) Unwrap() error { return e.err }

// redact leaves out of an error's words what was answered, which can quote the key and
// what customers are called, and the address that was asked, in which the id of a
// Checkout Session is: whoever has that is shown the booking. What else can go wrong with
// a call keeps its words.
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
		return discreetError{strings.Join(strings.Fields(words), " "), err}
	case errors.As(err, &ue):
		return discreetError{ue.Op + ": " + ue.Err.Error(), err}
	case strings.HasPrefix(err.Error(), "Couldn't deserialize JSON"):
		// The library's words about an answer that it cannot read, a proxy's page for
		// one, with its beginning.
		_, _ = fmt.Sscanf(err.Error(), "Couldn't deserialize JSON (response status: %d,", &status)
		return discreetError{fmt.Sprintf("an answer with status %d that is none of Stripe's API", status), err}
	case json.Valid([]byte(err.Error())):
		// A whole answer, where it is JSON without an error in it.
		return discreetError{"an answer that is none of Stripe's API", err}
	}
	return err
}
