package webhook_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	stripego "github.com/stripe/stripe-go/v76"
	stripe "github.com/stripe/stripe-go/v76/webhook"

	"github.com/booking-platform/booking-platform/webhook"
)

// realistic is an event of the size and shape that Stripe sends for a Checkout Session.
func realistic(b testing.TB) []byte {
	b.Helper()
	payload, err := os.ReadFile("testdata/checkout.session.completed.json")
	require.NoError(b, err)
	return payload
}

// Verify, and stripe-go's way to the same fields, of one event in one run: the ratio is
// what counts.
func BenchmarkVerify(b *testing.B) {
	payload := realistic(b)
	header := sign(payload, secret, time.Now())
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(payload)))
		for b.Loop() {
			if _, err := webhook.Verify(payload, header, []string{secret}, time.Hour, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ConstructEvent+CheckoutSession", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(payload)))
		for b.Loop() {
			ev, err := stripe.ConstructEventWithTolerance(payload, header, secret, time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			var session stripego.CheckoutSession
			if err := json.Unmarshal(ev.Data.Raw, &session); err != nil {
				b.Fatal(err)
			}
		}
	})
}
