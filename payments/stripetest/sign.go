package stripetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"
)

// Sign returns a Stripe-Signature header for a payload, as Stripe makes it from
// the webhook's secret at a moment: t=<seconds>,v1=<hex HMAC-SHA256 of "t.payload">.
// Tests use it to send payloads of their own.
func Sign(payload []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(payload)
	return fmt.Sprintf("t=%d,v1=%x", at.Unix(), mac.Sum(nil))
}
