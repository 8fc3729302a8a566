package auth

import (
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/booking-platform/booking-platform/internal/valid"
)

const (
	maxEmail    = 254  // Bytes: the longest address SMTP can carry.
	maxPassword = 1024 // Bytes: bounds the work of hashing.
	minPassword = 10   // Characters.
	maxRole     = 64   // Bytes.
)

func normalizeEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

func checkCredentials(email, password string) error {
	fields := map[string]string{}
	switch {
	case strings.TrimSpace(email) == "":
		fields["email"] = "must not be empty"
	case len(email) > maxEmail:
		fields["email"] = fmt.Sprintf("must be at most %d bytes", maxEmail)
	case !utf8.ValidString(email) || strings.ContainsFunc(email, unicode.IsControl):
		fields["email"] = "must not contain control characters"
	case valid.WithoutHidden(email) != email:
		fields["email"] = "must not contain characters that hide or reorder text"
	}
	switch {
	case password == "":
		fields["password"] = "must not be empty"
	case len(password) > maxPassword:
		fields["password"] = fmt.Sprintf("must be at most %d bytes", maxPassword)
	}
	return invalid(fields)
}

func checkNewUser(email, password string) error {
	fields := map[string]string{}
	bare := strings.TrimSpace(email)
	if parsed, err := mail.ParseAddress(bare); err != nil || parsed.Address != bare || len(bare) > maxEmail {
		fields["email"] = "must be an e-mail address"
	}
	if problem := newPasswordProblem(password); problem != "" {
		fields["password"] = problem
	}
	return invalid(fields)
}

func checkNewPassword(password string) error {
	if problem := newPasswordProblem(password); problem != "" {
		return invalid(map[string]string{"password": problem})
	}
	return nil
}

func newPasswordProblem(password string) string {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Sprintf("must be at least %d characters", minPassword)
	case len(password) > maxPassword:
		return fmt.Sprintf("must be at most %d bytes", maxPassword)
	}
	return ""
}

func checkRole(role string) error {
	if role == "" || len(role) > maxRole || !utf8.ValidString(role) || strings.ContainsFunc(role, unicode.IsControl) ||
		valid.WithoutHidden(role) != role || strings.TrimSpace(role) != role {
		return invalid(map[string]string{"role": fmt.Sprintf("must be a name of at most %d bytes", maxRole)})
	}
	return nil
}

var (
	// ErrCredentials means a refused login: an unknown address, a wrong password, or a
	// disabled user. All must get the same response.
	ErrCredentials = errors.New("auth: invalid credentials")
	// ErrNotFound means that a user is unknown or disabled.
	ErrNotFound = errors.New("auth: user not found")
	// ErrExists means that the address is taken.
	ErrExists = errors.New("auth: user exists")
	// ErrBusy means that a login waited five seconds for a hash slot. The password was
	// not checked.
	ErrBusy = errors.New("auth: too many passwords to hash")
	// ErrNoSession means that the request has no session, or an ended one.
	ErrNoSession = errors.New("auth: no session")
)

// ValidationError lists invalid fields. Nothing was looked up or stored.
type ValidationError struct {
	// Fields maps "email", "password" and "role" to a message without the value.
	Fields map[string]string
}

// Error lists the fields alphabetically.
func (e *ValidationError) Error() string {
	var parts []string
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		parts = append(parts, fmt.Sprintf("%s %s", field, e.Fields[field]))
	}
	return "auth: " + strings.Join(parts, "; ")
}

// invalid returns nil when there are no fields.
func invalid(fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &ValidationError{Fields: fields}
}
