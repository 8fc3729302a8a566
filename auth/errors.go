package auth

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var (
	// ErrCredentials says that a login was refused. It is one error for an unknown
	// address, a wrong password and a user that may not log in, and must be answered
	// alike for all three.
	ErrCredentials = errors.New("auth: invalid credentials")
	// ErrNotFound says that there is no such user, or that it has been disabled.
	ErrNotFound = errors.New("auth: user not found")
	// ErrExists says that a user with this address is there already.
	ErrExists = errors.New("auth: user exists")
	// ErrBusy says that so many log in at once that a password's turn to be hashed did
	// not come within five seconds. Nothing is known about it.
	ErrBusy = errors.New("auth: too many passwords to hash")
	// ErrNoSession says that the request carries no session, or one that has ended.
	ErrNoSession = errors.New("auth: no session")
)

// ValidationError names the fields of an input that are wrong. Nothing was looked up or
// stored.
type ValidationError struct {
	// Fields maps "email", "password" and "role" to what is wrong, in words fit for the
	// user. It never holds the value.
	Fields map[string]string
}

// Error lists the fields in alphabetical order.
func (e *ValidationError) Error() string {
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		parts = append(parts, fmt.Sprintf("%s %s", field, e.Fields[field]))
	}
	return "auth: " + strings.Join(parts, "; ")
}

// invalid returns nil when no field is wrong, so that checks end in one line.
func invalid(fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &ValidationError{Fields: fields}
}

// sqlState finds the code of a database error whatever the driver, for the log.
func sqlState(err error) string {
	var coded interface{ SQLState() string }
	if errors.As(err, &coded) {
		return coded.SQLState()
	}
	return ""
}
