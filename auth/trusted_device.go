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
	// Browsers keep a cookie for at most 400 days.
	deviceSeconds = 400 * 24 * 60 * 60
)

// deviceCookie marks a browser that has logged in to an account: a random number, signed
// together with the account. It is good for the budget LoginLimits.KnownBrowser alone.
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
	mac.Write(nonce) // Of fixed length, so that nonce and account cannot be shifted.
	mac.Write([]byte(account))
	return mac.Sum(nil)
}

// of returns the browser's number if it has logged in to this account, else nil.
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

// set signs the number again with the first secret. The number stays the same: with a new
// one at each login, a user with one valid password could create any number of budgets.
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
