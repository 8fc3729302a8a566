package payments

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/stripe/stripe-go/v76"
)

// refusal is an error of Stripe's API without its message, which can quote what it was sent: the key, and what customers are called. errors.As finds all
// of it.
type refusal struct{ err *stripe.Error }

func (r refusal) Error() string {
	return strings.Join(strings.Fields(fmt.Sprintf("Stripe answered %d %s %s %s", r.err.HTTPStatusCode, r.err.Type, r.err.Code, r.err.RequestID)), " ")
}

func (r refusal) Unwrap() error { return r.err }

// discreet is the error of a call to Stripe as it can be logged, by us and by who called us: without what was answered, and without the address that was asked, in
// which the id of a Checkout Session is, and whoever has that is shown the booking.
func discreet(err error) error {
	if se := (*stripe.Error)(nil); errors.As(err, &se) {
		return refusal{se}
	}
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		return ue.Err
	}
	if ne := (net.Error)(nil); errors.As(err, &ne) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
		return err
	}
	// What is left are the library's words about an answer that it cannot read, a proxy's page for one, with the beginning of that answer.
	status := 0
	if _, failed := fmt.Sscanf(err.Error(), "Couldn't deserialize JSON (response status: %d,", &status); failed == nil {
		return fmt.Errorf("an answer with status %d that is none of Stripe's API", status)
	}
	return errors.New("an answer that is none of Stripe's API")
}
