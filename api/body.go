package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"
)

// maxBody is many times what a booking needs.
const maxBody = 64 << 10

var (
	errMediaType = errors.New("the body is not application/json")
	errTooLarge  = errors.New("the body is too large")
	errBody      = errors.New("the body is not one JSON object")
)

// body is a JSON object whose fields are read one by one, so that several of the wrong
// type are all reported.
type body struct {
	rest map[string]json.RawMessage
	// problems holds what is wrong, by field.
	problems map[string]string
}

// readOptionalBody is readBody where there may be none, or null.
func readOptionalBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	if r.ContentLength == 0 {
		return &body{problems: map[string]string{}}, nil
	}
	return readJSON(w, r)
}

// readBody reads the whole body of a request: one JSON object of at most 64 KiB and
// nothing after it.
func readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b, err := readJSON(w, r)
	if err == nil && b.rest == nil {
		return nil, errBody
	}
	return b, err
}

// readJSON reads an object, or null.
func readJSON(w http.ResponseWriter, r *http.Request) (*body, error) {
	// Anything but JSON could be sent by a form on another site.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, errMediaType
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, errTooLarge
	}
	b := &body{problems: map[string]string{}}
	// The decoder would replace what is no UTF-8, and a name would be stored that nobody
	// has.
	if err != nil || !utf8.Valid(raw) || json.Unmarshal(raw, &b.rest) != nil {
		return nil, errBody
	}
	return b, nil
}

// read takes a field out of the body; null counts as absent.
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

// count reads a number of heads; 0 is one that was left out. -1, which booking refuses,
// stands for one that is no number, and for a 0 that was sent.
func (b *body) count(name string) int {
	n := 0
	if sent := b.read(name, "a whole number", &n); n == 0 && (sent || b.problems[name] != "") {
		return -1
	}
	return n
}

// end reports the fields that nobody has asked for.
func (b *body) end() {
	for name := range b.rest {
		b.problems[name] = "is not known"
	}
}
