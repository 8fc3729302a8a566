package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	stripe "github.com/stripe/stripe-go/v76/webhook"
)

// Event is a verified Stripe event, reduced to what a ledger and a handler need. A string
// that is too long, contains NUL or has another type is empty rather than shortened, so
// that it never matches another.
type Event struct {
	// ID (evt_…) and Type (checkout.session.completed) are not empty.
	ID, Type string
	// APIVersion is that of the object. Account is the connected account, empty for the
	// platform's own.
	APIVersion, Account string
	// Created is when Stripe made the event: UTC, whole seconds, zero if unknown. Do not
	// order by it: events of one payment often share it.
	Created  time.Time
	Livemode bool
	ObjectID string
	// SessionID is the id of a Checkout Session, and PaymentStatus its status: paid,
	// unpaid (a delayed method: checkout.session.async_payment_succeeded or _failed
	// follows) or no_payment_required.
	SessionID, PaymentStatus string
	PaymentIntentID          string
	// AmountTotal and Currency are what a Checkout Session charges, in minor units and as
	// Stripe wrote it. They are 0 and empty for another object, and if its id,
	// payment_status, amount_total or currency has another type.
	AmountTotal int64
	Currency    string
	// Reference identifies the row of the program that created the Checkout Session:
	// client_reference_id, else metadata.payment_id. Parse it in Go: casting another
	// program's value in SQL would fail the event each time.
	Reference string
	// RequestID is metadata.request_id, if it is 8 to 64 letters, digits, dots, dashes
	// and underscores. For logs only.
	RequestID string
	// Object is data.object as sent, or nil. Its strings may contain NUL, which Postgres
	// cannot store.
	Object json.RawMessage
	// Payload is the signed body. Do not change it.
	Payload []byte

	// claimable are the outcomes that a replay may claim; empty for a delivery.
	claimable string
}

const (
	maxID        = 255
	maxReference = 500
)

const maxCreated = 253402300800

// decode rejects only what is not an event (a JSON object with id and type) or cannot be
// stored. Members of another type are skipped.
func decode(payload []byte) (Event, bool) {
	if !utf8.Valid(payload) || !isValid(payload) {
		return Event{}, false
	}
	begin := skipSpace(payload, 0)
	if payload[begin] != '{' {
		return Event{}, false
	}
	ev := Event{Payload: payload}
	var created int64
	var raw []byte
	for name, value := range members(payload[begin:]) {
		switch string(name) {
		case "id":
			setString(&ev.ID, value)
		case "type":
			setString(&ev.Type, value)
		case "api_version":
			setString(&ev.APIVersion, value)
		case "account":
			setString(&ev.Account, value)
		case "created":
			setInt(&created, value)
		case "livemode":
			setBool(&ev.Livemode, value)
		case "data":
			if value[0] != '{' {
				continue
			}
			for name, value := range members(value) {
				if string(name) == "object" {
					raw = value
				}
			}
		}
	}
	ev.ID, ev.Type = bounded(ev.ID, maxID), bounded(ev.Type, maxID)
	ev.APIVersion, ev.Account = bounded(ev.APIVersion, maxID), bounded(ev.Account, maxID)
	if ev.ID == "" || ev.Type == "" {
		return Event{}, false
	}
	if created > 0 && created < maxCreated {
		ev.Created = time.Unix(created, 0).UTC()
	}
	if len(raw) > 0 && raw[0] == '{' {
		ev.readObject(raw)
	}
	return ev, true
}

func (ev *Event) readObject(raw []byte) {
	var kind, status, payment, request string
	money := true
	for name, value := range members(raw) {
		switch string(name) {
		case "id":
			money = setString(&ev.ObjectID, value) && money
		case "object":
			setString(&kind, value)
		case "payment_intent":
			ev.PaymentIntentID = expandable(value)
		case "payment_status":
			money = setString(&status, value) && money
		case "amount_total":
			money = setInt(&ev.AmountTotal, value) && money
		case "currency":
			money = setString(&ev.Currency, value) && money
		case "client_reference_id":
			setString(&ev.Reference, value)
		case "metadata":
			if value[0] != '{' {
				continue
			}
			for name, value := range members(value) {
				switch string(name) {
				case "payment_id":
					setString(&payment, value)
				case "request_id":
					setString(&request, value)
				}
			}
		}
	}
	ev.Object = raw
	ev.ObjectID = bounded(ev.ObjectID, maxID)
	ev.PaymentIntentID = bounded(ev.PaymentIntentID, maxID)
	ev.Currency = bounded(ev.Currency, maxID)
	if kind != "checkout.session" || !money {
		ev.AmountTotal, ev.Currency = 0, ""
	}
	switch kind {
	case "checkout.session":
		ev.SessionID, ev.PaymentStatus = ev.ObjectID, bounded(status, maxID)
	case "payment_intent":
		ev.PaymentIntentID = ev.ObjectID
	}
	ev.Reference = bounded(ev.Reference, maxReference)
	if ev.Reference == "" {
		ev.Reference = bounded(payment, maxReference)
	}
	if requestID.MatchString(request) {
		ev.RequestID = request
	}
}

// expandable returns an id, also that of an expanded object.
func expandable(value []byte) (id string) {
	if value[0] != '{' {
		setString(&id, value)
		return id
	}
	for name, value := range members(value) {
		if string(name) == "id" {
			setString(&id, value)
		}
	}
	return id
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

func bounded(s string, limit int) string {
	if len(s) > limit || strings.IndexByte(s, 0) >= 0 {
		return ""
	}
	return s
}

// DefaultTolerance is Options.Tolerance's. Stripe signs each attempt anew.
const DefaultTolerance = 300 * time.Second

// RejectedError means that a request is not an event signed with one of the secrets.
type RejectedError struct {
	Reason Reason
}

// Error has nothing of the request.
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

// The errors of cleanSecrets do not contain the secrets.
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

// notInSecret: separators, quotes, and what does not print.
func notInSecret(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune(",;\"'`", c)
}

// verify also returns the secret's position, from 1.
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

// signedAt returns a valid header's last timestamp, as stripe-go does. Another could make
// an old delivery pass for a new one.
func signedAt(header string) (at time.Time, ok bool) {
	for pair := range strings.SplitSeq(header, ",") {
		if v, found := strings.CutPrefix(pair, "t="); found {
			sec, err := strconv.ParseInt(v, 10, 64)
			at, ok = time.Unix(sec, 0), err == nil
		}
	}
	return at, ok
}
