package checkout

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// The key of owner tokens is derived from the session secret under this name, so that nothing signed for another purpose is one.
const tokenPurpose = "booking-platform owner token 1"

// Links makes and checks the links by which customers come back to their bookings. It asks nobody and keeps nothing: a token is the
// HMAC-SHA256 of the booking's id. It is safe for concurrent use, and replicas with the same secrets accept each other's.
type Links struct {
	appURL string
	keys   [][]byte
}

// NewLinks takes the public address of the service and the session secrets: the first signs, all are accepted.
func NewLinks(appURL string, secrets []string) (*Links, error) {
	if appURL == "" || len(secrets) == 0 {
		return nil, errors.New("checkout: a public address and a secret are required")
	}
	l := &Links{appURL: strings.TrimRight(appURL, "/")}
	for _, s := range secrets {
		if s == "" {
			return nil, errors.New("checkout: an empty secret")
		}
		l.keys = append(l.keys, sign([]byte(s), tokenPurpose))
	}
	return l, nil
}

// Token returns the owner token of a booking: 43 characters that are safe in a URL. It is the same each time, until the secret changes.
func (l *Links) Token(bookingID string) string {
	return base64.RawURLEncoding.EncodeToString(sign(l.keys[0], bookingID))
}

// Owns tells whether token is the booking's, in the same time whatever it is.
func (l *Links) Owns(bookingID, token string) bool {
	given, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return false
	}
	owns := false
	for _, key := range l.keys {
		if hmac.Equal(given, sign(key, bookingID)) {
			owns = true
		}
	}
	return owns
}

// Page returns the address of the booking's page, with its token.
func (l *Links) Page(bookingID string) string {
	return l.appURL + "/success?" + url.Values{"booking": {bookingID}, "token": {l.Token(bookingID)}}.Encode()
}

func sign(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}
