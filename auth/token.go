package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

const tokenBytes = 32 // 256 random bits: nobody guesses one.

func newToken() string {
	var b [tokenBytes]byte
	// It never fails: since Go 1.24 the process ends when the system has no randomness.
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// plausibleToken spares the database a look-up of what we cannot have made.
func plausibleToken(token string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && len(b) == tokenBytes
}

// tokenHash is the primary key of the session's row. The prefix keeps it apart from
// anything else a host may sign with the same secret.
func tokenHash(key []byte, token string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("booking-platform/session\x00"))
	mac.Write([]byte(token))
	return mac.Sum(nil)
}

// hashes lists the keys under which the session of a token may be stored, one per secret,
// as the comma-separated hex that the statements take apart: one parameter and one round
// trip, however many secrets there are, with every driver.
func (a *Auth) hashes(token string) string {
	if token == "" {
		return ""
	}
	list := make([]string, len(a.keys))
	for i, key := range a.keys {
		list[i] = hex.EncodeToString(tokenHash(key, token))
	}
	return strings.Join(list, ",")
}
