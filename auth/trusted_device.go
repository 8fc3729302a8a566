package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

const (
	deviceName = "booking_device"
	nonceBytes = 16
	// Browsers keep no cookie for longer than 400 days.
	deviceSeconds = 400 * 24 * 60 * 60
)

// deviceCookie is what a browser carries that has logged in to an account: a random
// number, signed together with the account. It gives the browser a budget of attempts of
// its own, and nothing else.
type deviceCookie struct {
	blank http.Cookie
	keys  [][]byte
}

func newDeviceCookie(session http.Cookie, keys [][]byte) deviceCookie {
	blank := session
	blank.Name = deviceName
	if session.Name != cookieName {
		blank.Name = "__Host-" + deviceName
	}
	blank.MaxAge = deviceSeconds
	return deviceCookie{blank: blank, keys: keys}
}

func deviceMAC(key, nonce []byte, account string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("booking-platform/device\x00"))
	mac.Write(nonce) // Of one length, so that no other number and account give the same text.
	mac.Write([]byte(account))
	return mac.Sum(nil)
}

// of returns the browser's number when it has logged in to this account, and nil
// otherwise.
func (d deviceCookie) of(r *http.Request, account string) []byte {
	got, err := r.Cookie(d.blank.Name)
	if err != nil {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(got.Value)
	if err != nil || len(b) != nonceBytes+sha256.Size {
		return nil
	}
	nonce, mac := b[:nonceBytes], b[nonceBytes:]
	for _, key := range d.keys {
		if hmac.Equal(mac, deviceMAC(key, nonce, account)) {
			return nonce
		}
	}
	return nil
}

// set signs a browser's number anew, under today's secret. It keeps its number, and with
// it its budget: another with each login would be a budget without end for whoever knows
// one password.
func (d deviceCookie) set(w http.ResponseWriter, nonce []byte, account string) {
	if nonce == nil {
		nonce = make([]byte, nonceBytes)
		_, _ = rand.Read(nonce) // It never fails, see newToken.
	}
	fresh := d.blank
	fresh.Value = base64.RawURLEncoding.EncodeToString(append(nonce[:nonceBytes:nonceBytes],
		deviceMAC(d.keys[0], nonce, account)...))
	http.SetCookie(w, &fresh)
}
