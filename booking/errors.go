package booking

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/internal/valid"
)

var (
	// ErrSlotTaken means that fewer units of the slot are free than the party needs.
	ErrSlotTaken = errors.New("booking: slot is taken")
	// ErrSlotGone means that a slot has begun or its resource is no longer active.
	ErrSlotGone = errors.New("booking: slot is gone")
	// ErrHoldExpired means that a hold has expired.
	ErrHoldExpired = errors.New("booking: hold has expired")
	// ErrNotBegun means that a booking cannot be completed, or be a no-show, before it
	// begins.
	ErrNotBegun = errors.New("booking: not begun yet")
	// ErrPolicy means that the booking's policy does not allow this to its customer.
	ErrPolicy = errors.New("booking: not allowed by the policy")
	// ErrNotFound means that there is no booking, resource or feed with that id, slug or
	// token.
	ErrNotFound = errors.New("booking: not found")
	// ErrIdempotencyMismatch means that the idempotency key was used for another request.
	ErrIdempotencyMismatch = errors.New("booking: idempotency key was used for another request")
)

// errRetry: the transaction has to be run again.
var errRetry = errors.New("run the transaction again")

var (
	// errContention: maxAttempts attempts in a row lost to other transactions.
	errContention = fmt.Errorf("too much contention: %w", errRetry)
	errLockedGone = errors.New("a locked booking is gone")
)

// ValidationError lists all problems of a request. The database has not changed.
type ValidationError struct {
	// Fields maps a field, named as in the JSON body (resource, start, firstName, …), to
	// its problem: a short phrase for customers such as "is required".
	Fields map[string]string

	// cause is ErrNotFound if the resource does not exist.
	cause error
}

func (e *ValidationError) Error() string {
	parts := make([]string, 0, len(e.Fields))
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		parts = append(parts, field+" "+e.Fields[field])
	}
	return "invalid request: " + strings.Join(parts, "; ")
}

func (e *ValidationError) Unwrap() error { return e.cause }

// WithProblems returns a [*ValidationError] with the given problems, by field, and those
// of err if it is one; the given ones take precedence. Other errors are returned
// unchanged. Use it for fields that could not be parsed.
func WithProblems(err error, fields map[string]string) error {
	var more *ValidationError
	if err != nil && !errors.As(err, &more) {
		return err
	}
	all := problems{}
	all.merge(fields)
	if more != nil {
		all.merge(more.Fields)
	}
	return all.err()
}

type problems map[string]string

func (p problems) add(field, problem string) {
	if _, known := p[field]; !known && problem != "" {
		p[field] = problem
	}
}

func (p problems) merge(other problems) {
	for field, problem := range other {
		p.add(field, problem)
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &ValidationError{Fields: p}
}

// StatusError means that a booking's status does not allow the operation.
type StatusError struct {
	ID     string
	Status Status
	// Op is "confirm", "cancel", "release", "extend", "expire", "complete", "no-show",
	// "reschedule", "retake", …
	Op string
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("booking %s is %s: cannot %s", e.ID, e.Status, e.Op)
}

// ConflictError lists the bookings in the way of a block. It is an [ErrSlotTaken].
type ConflictError struct {
	// Bookings are at most 100, by start.
	Bookings []Booking
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: %d bookings are in the way", ErrSlotTaken, len(e.Bookings))
}

func (e *ConflictError) Unwrap() error { return ErrSlotTaken }

// IsRetryable reports whether the transaction should be rolled back and run again:
// Postgres ended it in favour of another one (SQLSTATE 40001 serialization failure, 40P01
// deadlock), or its isolation level hides what was committed since it began. [Store]
// retries its own transactions; with [Tx] the caller does.
func IsRetryable(err error) bool { return errors.Is(err, errRetry) || pg.Retryable(err) }

// wrap also adds the context's error where lib/pq reports SQLSTATE 57014 alone.
func wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && pg.SQLState(err) == "57014" && !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return &opError{op, err}
}

type opError struct {
	op  string
	err error
}

// The prefix comes once, although sentinel errors have it too.
func (e *opError) Error() string {
	return "booking: " + e.op + ": " + strings.TrimPrefix(e.err.Error(), "booking: ")
}

func (e *opError) Unwrap() error { return e.err }

// emailProblem accepts a bare address whose domain has a dot.
func emailProblem(s string) string {
	if p := valid.Required(s, 254); p != "" {
		return p
	}
	const bad = "is not an e-mail address"
	parsed, err := mail.ParseAddress(s)
	if err != nil || parsed.Name != "" || parsed.Address != s || len(s) > 254 {
		return bad
	}
	domain := s[strings.LastIndexByte(s, '@')+1:]
	if !strings.Contains(domain, ".") || strings.HasPrefix(domain, "[") {
		return bad
	}
	return ""
}

// instantProblem refuses instants that JSON or iCalendar cannot represent.
func instantProblem(t time.Time) string {
	switch {
	case t.IsZero():
		return "is required"
	case t.UTC().Year() < 1970 || t.UTC().Year() > 9998:
		return "is not between the years 1970 and 9998"
	}
	return ""
}

// isID reports whether s is a UUID in canonical form, which no slug is.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
				return false
			}
		}
	}
	return true
}

// isSlug is the database's CHECK, minus what could be an id.
func isSlug(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || isID(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
