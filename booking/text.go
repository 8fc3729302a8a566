package booking

import (
	"net/mail"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

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
