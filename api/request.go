package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// maxBody is in bytes.
const maxBody = 64 << 10

var (
	errMediaType = errors.New("the body is not application/json")
	errTooLarge  = errors.New("the body is too large")
	errBody      = errors.New("the body is not one JSON object")
)

// body's fields are read one by one, so that all problems are found.
type body struct {
	rest map[string]json.RawMessage
	// problems are by field.
	problems map[string]string
}

// The body may be empty or null.
func readOptionalBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	if r.ContentLength == 0 {
		return &body{problems: map[string]string{}}, nil
	}
	return readJSON(w, r)
}

func readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b, err := readJSON(w, r)
	if err == nil && b.rest == nil {
		return nil, errBody
	}
	return b, err
}

// readJSON reads an object or null, with nothing after it.
func readJSON(w http.ResponseWriter, r *http.Request) (*body, error) {
	// A form on another site cannot send this media type.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errMediaType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	b := &body{problems: map[string]string{}}
	// The decoder would replace invalid UTF-8.
	if err != nil || !utf8.Valid(raw) || json.Unmarshal(raw, &b.rest) != nil {
		return nil, errBody
	}
	return b, nil
}

// read returns false if the field is absent, null or not valid.
func (b *body) read(name, kind string, into any) bool {
	raw, found := b.rest[name]
	delete(b.rest, name)
	if !found || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, into) != nil {
		b.problems[name] = "must be " + kind
		return false
	}
	return true
}

func (b *body) text(name string) string {
	var s string
	b.read(name, "a string", &s)
	return s
}

// count is 0 if absent, and -1, which booking refuses, if 0 or not a number.
func (b *body) count(name string) int {
	n := 0
	if sent := b.read(name, "a whole number", &n); n == 0 && (sent || b.problems[name] != "") {
		return -1
	}
	return n
}

func (b *body) end() {
	for name := range b.rest {
		b.problems[name] = "is not known"
	}
}

// withProblems adds those that booking found, in err, in the fields that could be read.
func (b *body) withProblems(err error) error {
	var more *booking.ValidationError
	if errors.As(err, &more) && (b.problems["date"] != "" || b.problems["time"] != "") {
		delete(more.Fields, "start") // Missing because date or time is wrong.
	}
	return booking.WithProblems(err, b.problems)
}

// ClientNetwork returns what limits count a client by, for Options.Client and
// booking.HoldRequest.Client: an IPv4 address, or the /64 of an IPv6 one. address may
// have a port, as http.Request.RemoteAddr, which behind a proxy is the proxy's. Text that
// is no address is returned unchanged.
func ClientNetwork(address string) string {
	if with, err := netip.ParseAddrPort(address); err == nil {
		address = with.Addr().String()
	}
	return ratelimit.Network(address)
}

// printable: 1 to 200 ASCII characters.
func printable(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 200
}

// query collects the problems of a request's parameters.
type query struct {
	values   url.Values
	problems map[string]string
}

// A date means the start of the day so many days later.
func (q query) instant(name string, zone *time.Location, days int) time.Time {
	text := q.values.Get(name)
	if day, err := booking.ParseDate(text); err == nil {
		at, _ := day.AddDays(days).At(0, zone)
		return at
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.IsZero() {
		q.problems[name] = "must be a date such as 2026-12-01, or a time such as 2026-12-01T10:00:00Z"
	}
	return at
}

// party is 1 by default.
func (q query) party() int {
	if !q.values.Has("party") {
		return 1
	}
	n, err := strconv.Atoi(q.values.Get("party"))
	if err != nil || n < 1 {
		q.problems["party"] = "must be at least 1"
	}
	return n
}

func (q query) err() error {
	if len(q.problems) == 0 {
		return nil
	}
	return &booking.ValidationError{Fields: q.problems}
}

func readLimit(query url.Values) (int, error) {
	if !query.Has("limit") {
		return 50, nil
	}
	n, err := strconv.Atoi(query.Get("limit"))
	if err != nil || n < 1 || n > 500 {
		return 0, &booking.ValidationError{Fields: map[string]string{"limit": "must be between 1 and 500"}}
	}
	return n, nil
}
