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

	"github.com/booking-platform/booking-platform/internal/valid"
)

var (
	// ErrSlotTaken tells that fewer units of the slot are free than the party needs.
	ErrSlotTaken = errors.New("slot is taken")
	// ErrSlotGone tells that a slot cannot be taken again: it has begun, or its resource
	// is no longer active.
	ErrSlotGone = errors.New("slot is gone")
	// ErrHoldExpired tells that a hold's time has passed, or that the hold was ended as
	// expired.
	ErrHoldExpired = errors.New("hold has expired")
	// ErrNotBegun tells that a booking cannot be completed or missed yet, because it has
	// not begun.
	ErrNotBegun = errors.New("booking has not begun")
	// ErrPolicy tells that the booking's policy does not allow the customer what was
	// asked for.
	ErrPolicy = errors.New("the booking's policy does not allow it")
	// ErrNotFound tells that no booking, or no resource, has that id or slug, or no feed
	// that token.
	ErrNotFound = errors.New("not found")
	// ErrIdempotencyMismatch tells that the idempotency key was used before, for another
	// request.
	ErrIdempotencyMismatch = errors.New("idempotency key was used for another request")
)

// errRunAgain marks an error after which the caller's transaction has to be run again
// from its beginning.
var errRunAgain = errors.New("run the transaction again")

// ValidationError names everything that is wrong with a request, all at once. The
// database has not changed.
type ValidationError struct {
	// Fields maps a field, named as in the JSON body (resource, start, party, firstName,
	// lastName, email, …), to what is wrong with it: a short phrase such as "is
	// required", fit for the customer.
	Fields map[string]string

	// cause is ErrNotFound when the resource does not exist, for errors.Is.
	cause error
}

// Error lists the fields in alphabetical order.
func (e *ValidationError) Error() string {
	parts := make([]string, 0, len(e.Fields))
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		parts = append(parts, field+" "+e.Fields[field])
	}
	return "invalid request: " + strings.Join(parts, "; ")
}

// Unwrap makes errors.Is(err, [ErrNotFound]) true when the resource that was named does
// not exist.
func (e *ValidationError) Unwrap() error { return e.cause }

// WithProblems returns a [*ValidationError] with the given problems, by field, and those
// of err where it is one; of two problems of a field the given one is kept. Any other
// error is returned as it is. Use it where a field could not even be read.
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

// problems collects what is wrong with each field; the first finding about a field
// stands.
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

// err is nil when nothing was found.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &ValidationError{Fields: p}
}

// StatusError tells that a booking's status does not allow the operation. The booking has
// not changed.
type StatusError struct {
	// ID is the booking's.
	ID string
	// Status is the one it has.
	Status Status
	// Op is what was asked for: "confirm", "cancel", "release", "extend", "expire",
	// "complete", "no-show", "reschedule", "retake", …
	Op string
}

// Error names the booking, its status and the operation.
func (e *StatusError) Error() string {
	return fmt.Sprintf("booking %s is %s: cannot %s", e.ID, e.Status, e.Op)
}

// ConflictError names what is in the way of a block. errors.Is(err, [ErrSlotTaken]) holds
// for it.
type ConflictError struct {
	// Bookings are those that keep units meanwhile, by their start: up to 100 of them.
	Bookings []Booking
}

// Error counts them.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: %d bookings are in the way", ErrSlotTaken, len(e.Bookings))
}

// Unwrap makes errors.Is(err, [ErrSlotTaken]) true.
func (e *ConflictError) Unwrap() error { return ErrSlotTaken }

// IsRetryable tells that nothing is wrong with what was asked, and that the whole
// transaction should be rolled back and run again from its beginning: Postgres ended it
// in favour of another one (SQLSTATE 40001 serialization failure, 40P01 deadlock), or it
// cannot see, at its isolation level, what has been committed since it began. [Store]
// runs its own transactions again by itself, a bounded number of times; in a transaction
// of the caller's ([Tx]) that is the caller's to do.
func IsRetryable(err error) bool {
	if errors.Is(err, errRunAgain) {
		return true
	}
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}

// sqlState reads the SQLSTATE of a database error from any driver; "" when there is none.
func sqlState(err error) string {
	var s interface{ SQLState() string }
	if errors.As(err, &s) {
		return s.SQLState()
	}
	return ""
}

// wrap gives an error its one prefix. A driver may report a cancelled query with an error
// of its own (lib/pq: SQLSTATE 57014), so the context's error is added where the driver
// left it out.
func wrap(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && sqlState(err) == "57014" && !errors.Is(err, ended) {
		return fmt.Errorf("booking: %s: %w: %w", op, ended, err)
	}
	return fmt.Errorf("booking: %s: %w", op, err)
}

// emailProblem accepts one bare address that could receive mail: no display name, no
// comment, a domain with a dot.
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

// instantProblem refuses instants that JSON or a calendar cannot write.
func instantProblem(t time.Time) string {
	switch {
	case t.IsZero():
		return "is required"
	case t.UTC().Year() < 1970 || t.UTC().Year() > 9998:
		return "is not between the years 1970 and 9998"
	}
	return ""
}

// isID tells whether s is a UUID in its canonical form of 36 characters, which no slug
// is.
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

// isSlug is the rule of the database's CHECK, less what could be taken for an id.
func isSlug(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || isID(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
	})
}
