package webhook

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	stripe "github.com/stripe/stripe-go/v76/webhook"
)

// DefaultTolerance is the default of Options.Tolerance. Stripe signs each attempt anew.
const DefaultTolerance = 300 * time.Second

// RejectedError means that a request is not an event signed with one of the secrets.
type RejectedError struct {
	Reason Reason
}

// Error returns the reason, and nothing of the request.
func (e *RejectedError) Error() string { return "webhook: rejected: " + string(e.Reason) }

var errNoSecret = errors.New("webhook: no signing secret, or an empty one")

const secretPrefix = "whsec_"

// Verify checks that payload was signed with one of the secrets at most tolerance before
// or after now, and returns the event. header is the Stripe-Signature header. A tolerance
// of zero is [DefaultTolerance]; a queue consumer needs a longer one. Events of every API
// version pass. It returns a *[RejectedError] for what is not a signed event, and another
// error for invalid secrets.
func Verify(payload []byte, header string, secrets []string, tolerance time.Duration, now time.Time) (Event, error) {
	secrets, err := cleanSecrets(secrets)
	if err != nil {
		return Event{}, err
	}
	ev, _, err := verify(payload, header, secrets, tolerance, now)
	return ev, err
}

// cleanSecrets trims and checks the secrets. Its errors do not contain them.
func cleanSecrets(secrets []string) ([]string, error) {
	clean := make([]string, 0, len(secrets))
	for i, s := range secrets {
		s = strings.TrimSpace(s)
		if s == "" {
			return nil, errNoSecret
		}
		if err := CheckSecret(s); err != nil {
			return nil, fmt.Errorf("webhook: signing secret %d %w", i+1, err)
		}
		clean = append(clean, s)
	}
	if len(clean) == 0 {
		return nil, errNoSecret
	}
	return clean, nil
}

// CheckSecret returns why a value is not one signing secret (whsec_…), such as "is an API
// key", or nil. The error does not contain it.
func CheckSecret(secret string) error {
	key, _, _ := strings.Cut(secret, "_")
	switch {
	case key == "sk" || key == "rk" || key == "pk":
		return fmt.Errorf("is an API key (%s_…); a signing secret begins with %s", key, secretPrefix)
	case !strings.HasPrefix(secret, secretPrefix):
		return errors.New("does not begin with " + secretPrefix)
	case secret == secretPrefix:
		return errors.New("has nothing after " + secretPrefix)
	case strings.ContainsFunc(secret, notInSecret):
		return errors.New("has a comma, white space or another character that no signing secret has")
	}
	return nil
}

// notInSecret reports whether c cannot be in a secret: separators, quotes, and what does
// not print.
func notInSecret(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune(",;\"'`", c)
}

// verify also returns the position of the secret, from 1.
func verify(payload []byte, header string, secrets []string, tolerance time.Duration,
	now time.Time) (ev Event, position int, err error) {
	if tolerance <= 0 {
		tolerance = DefaultTolerance
	}
	header = strings.TrimSpace(header)
	// The age is checked last, so that a rejection has the right reason.
	if position, err = matchAny(payload, header, secrets); err != nil {
		return Event{}, 0, err
	}
	signed, ok := signedAt(header)
	if !ok {
		return Event{}, 0, &RejectedError{ReasonSignatureMalformed}
	}
	switch age := now.Sub(signed); {
	case age > tolerance:
		return Event{}, 0, &RejectedError{ReasonTooOld}
	case age < -tolerance:
		return Event{}, 0, &RejectedError{ReasonFuture}
	}
	if ev, ok = decode(payload); !ok {
		return Event{}, 0, &RejectedError{ReasonNotAnEvent}
	}
	return ev, position, nil
}

// matchAny returns the position, from 1, of the first secret that matches.
func matchAny(payload []byte, header string, secrets []string) (position int, err error) {
	for i, secret := range secrets {
		switch err := stripe.ValidatePayloadIgnoringTolerance(payload, header, secret); {
		case err == nil:
			return i + 1, nil
		case errors.Is(err, stripe.ErrNotSigned):
			return 0, &RejectedError{ReasonSignatureMissing}
		case errors.Is(err, stripe.ErrInvalidHeader):
			return 0, &RejectedError{ReasonSignatureMalformed}
		}
	}
	return 0, &RejectedError{ReasonSignatureWrong}
}

// signedAt returns the last timestamp of a valid header, as stripe-go does. Another could
// make an old delivery pass for a new one.
func signedAt(header string) (at time.Time, ok bool) {
	for pair := range strings.SplitSeq(header, ",") {
		if v, found := strings.CutPrefix(pair, "t="); found {
			sec, err := strconv.ParseInt(v, 10, 64)
			at, ok = time.Unix(sec, 0), err == nil
		}
	}
	return at, ok
}
