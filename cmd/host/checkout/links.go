package checkout

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/url"
	"strings"
)

// The secrets of owner tokens are derived from the session secrets under this name, so
// that nothing signed for another purpose is one.
const tokenPurpose = "booking-platform owner token 1"

// OwnerSecrets derives what booking.Options.OwnerSecrets takes from the session secrets,
// in their order. Replicas with the same secrets get the same. No secret, or an empty
// one, is an error.
func OwnerSecrets(sessionSecrets []string) ([]string, error) {
	if len(sessionSecrets) == 0 {
		return nil, errors.New("checkout: a session secret is required")
	}
	var derived []string
	for _, s := range sessionSecrets {
		if s == "" {
			return nil, errors.New("checkout: an empty session secret")
		}
		mac := hmac.New(sha256.New, []byte(s))
		mac.Write([]byte(tokenPurpose))
		derived = append(derived, string(mac.Sum(nil)))
	}
	return derived, nil
}

// Links makes the links by which customers come back to their bookings. It asks nobody,
// and is safe for concurrent use.
type Links struct{ appURL string }

// NewLinks takes the public address of the service.
func NewLinks(appURL string) (*Links, error) {
	if appURL == "" {
		return nil, errors.New("checkout: a public address is required")
	}
	return &Links{appURL: strings.TrimRight(appURL, "/")}, nil
}

// Page returns the address of a booking's page, with its owner token.
func (l *Links) Page(bookingID, token string) string { return l.appURL + PagePath(bookingID, token) }

// PagePath is Page without the public address, for redirects.
func PagePath(bookingID, token string) string {
	return "/success?" + url.Values{"booking": {bookingID}, "token": {token}}.Encode()
}
