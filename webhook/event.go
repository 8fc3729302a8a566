package webhook

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is a verified Stripe event, reduced to what a ledger and a handler need. A string
// that is too long, contains NUL or has another type is empty rather than shortened, so
// that it never matches another.
type Event struct {
	// ID (evt_…) and Type (checkout.session.completed) are not empty.
	ID, Type string
	// APIVersion is the version of the object's format. Account is the connected account,
	// empty for the platform's own.
	APIVersion, Account string
	// Created is when Stripe made the event: UTC, whole seconds, zero when unknown. Do
	// not order by it: events of one payment often share it.
	Created  time.Time
	Livemode bool
	ObjectID string
	// SessionID is the object's id if it is a Checkout Session, and PaymentStatus its
	// status: paid, unpaid (a delayed method: checkout.session.async_payment_succeeded or
	// _failed follows) or no_payment_required.
	SessionID, PaymentStatus string
	PaymentIntentID          string
	// Reference identifies the row of the program that created the Checkout Session:
	// client_reference_id, else metadata.payment_id. Parse it in Go: casting another
	// program's value in SQL would fail the event each time.
	Reference string
	// RequestID is metadata.request_id, if it has 8 to 64 letters, digits, dots, dashes
	// and underscores. For logs only.
	RequestID string
	// Object is data.object as it was sent, or nil. Its strings may contain NUL, which
	// Postgres cannot store.
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

type envelope struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	APIVersion string `json:"api_version"`
	Account    string `json:"account"`
	Created    int64  `json:"created"`
	Livemode   bool   `json:"livemode"`
	Data       struct {
		Object json.RawMessage `json:"object"`
	} `json:"data"`
}

type object struct {
	ID                string     `json:"id"`
	Kind              string     `json:"object"`
	PaymentIntent     expandable `json:"payment_intent"`
	PaymentStatus     string     `json:"payment_status"`
	ClientReferenceID string     `json:"client_reference_id"`
	Metadata          struct {
		PaymentID string `json:"payment_id"`
		RequestID string `json:"request_id"`
	} `json:"metadata"`
}

// expandable is an id, or an expanded object with an id.
type expandable string

// UnmarshalJSON ignores other values, so that the other fields are decoded.
func (e *expandable) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(e))
	}
	var o struct {
		ID string `json:"id"`
	}
	if decodeLeniently(b, &o) == nil {
		*e = expandable(o.ID)
	}
	return nil
}

// decodeLeniently skips fields of the wrong type: encoding/json decodes the others.
func decodeLeniently(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if mismatch := (*json.UnmarshalTypeError)(nil); errors.As(err, &mismatch) {
		return nil
	}
	return err
}

// decode rejects only what is not an event (a JSON object with id and type) or cannot be
// stored: Stripe may change anything else.
func decode(payload []byte) (Event, bool) {
	var e envelope
	if !utf8.Valid(payload) || decodeLeniently(payload, &e) != nil {
		return Event{}, false
	}
	ev := Event{
		ID: bounded(e.ID, maxID), Type: bounded(e.Type, maxID),
		APIVersion: bounded(e.APIVersion, maxID), Account: bounded(e.Account, maxID),
		Livemode: e.Livemode, Payload: payload,
	}
	if ev.ID == "" || ev.Type == "" {
		return Event{}, false
	}
	if e.Created > 0 && e.Created < maxCreated {
		ev.Created = time.Unix(e.Created, 0).UTC()
	}
	if raw := e.Data.Object; len(raw) > 0 && raw[0] == '{' {
		ev.readObject(raw)
	}
	return ev, true
}

func (ev *Event) readObject(raw json.RawMessage) {
	var o object
	_ = decodeLeniently(raw, &o)
	ev.Object = raw
	ev.ObjectID = bounded(o.ID, maxID)
	ev.PaymentIntentID = bounded(string(o.PaymentIntent), maxID)
	switch o.Kind {
	case "checkout.session":
		ev.SessionID, ev.PaymentStatus = ev.ObjectID, bounded(o.PaymentStatus, maxID)
	case "payment_intent":
		ev.PaymentIntentID = ev.ObjectID
	}
	ev.Reference = bounded(o.ClientReferenceID, maxReference)
	if ev.Reference == "" {
		ev.Reference = bounded(o.Metadata.PaymentID, maxReference)
	}
	if requestID.MatchString(o.Metadata.RequestID) {
		ev.RequestID = o.Metadata.RequestID
	}
}

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

func bounded(s string, limit int) string {
	if len(s) > limit || strings.IndexByte(s, 0) >= 0 {
		return ""
	}
	return s
}
