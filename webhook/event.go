package webhook

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// Event is a verified Stripe event, reduced to what a ledger and a handler need. Strings
// are bounded and can be stored in Postgres as they are: a value that is not a string, is
// longer than Stripe makes them, or holds a NUL, is left empty rather than cut, so that
// it never matches something else.
type Event struct {
	// ID (evt_…) and Type (checkout.session.completed) are never empty after [Verify].
	ID, Type string
	// APIVersion is the version the object is written in; it may be another than
	// stripe-go's. Account is the connected account the event is about, empty for one's
	// own.
	APIVersion, Account string
	// Created is when Stripe made the event: UTC, in whole seconds, zero when unknown. It
	// orders nothing: two events of one payment often share it.
	Created time.Time
	// Livemode is false for events of Stripe's test mode.
	Livemode bool
	// ObjectID is the id of the object the event is about, whatever its kind.
	ObjectID string
	// SessionID is the object's id when it is a Checkout Session, and PaymentStatus what
	// that says: paid, unpaid (a delayed method: checkout.session.async_payment_succeeded
	// or _failed follows), or no_payment_required.
	SessionID, PaymentStatus string
	// PaymentIntentID is the PaymentIntent that the object belongs to or is.
	PaymentIntentID string
	// Reference is what the maker of the Checkout Session put there to find the own row
	// again: client_reference_id, else metadata.payment_id. Parse it in Go: a foreign
	// value cast in SQL would fail the event for ever.
	Reference string
	// RequestID is the object's metadata.request_id: that of the request that made it,
	// where it looks like one (8 to 64 letters, digits, dots, dashes and underscores),
	// else empty. It is for the log alone.
	RequestID string
	// Object is data.object as it was sent, or nil when there is none. Strings in it are
	// not checked: what Postgres cannot store, a NUL for one, is the handler's to refuse.
	Object json.RawMessage
	// Payload is the whole body as it was signed. Do not change it.
	Payload []byte

	// claimable are the outcomes that a replay's claim takes up, separated by commas; empty
	// is what a delivery's does.
	claimable string
}

// The longest that Stripe makes an id, and a metadata value or client_reference_id.
const (
	maxID        = 255
	maxReference = 500
)

// The year 10000, beyond which a time can be written in neither RFC 3339 nor a ledger.
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

// expandable is an id, or the object it names written out with its id.
type expandable string

// UnmarshalJSON leaves what is neither empty, so that one odd field does not cost the
// others.
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

// decodeLeniently skips fields of the wrong type: encoding/json goes on after such a
// field and says so at the end.
func decodeLeniently(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if mismatch := (*json.UnmarshalTypeError)(nil); errors.As(err, &mismatch) {
		return nil
	}
	return err
}

// decode reads the few fields that are used. Only what is not an event at all is refused:
// no JSON object, no id, no type, or bytes that Postgres would refuse to keep. Everything
// else about an event Stripe may change without asking us.
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
	// The envelope was valid JSON, so this can fail in nothing but fields that are
	// skipped.
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

// requestID is what a log line can bear: nothing of it breaks a line, or is read as
// anything else.
var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)

func bounded(s string, limit int) string {
	if len(s) > limit || strings.IndexByte(s, 0) >= 0 {
		return ""
	}
	return s
}
