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

// realistic is an event with the size and shape of a Checkout Session's.
func realistic(b testing.TB) []byte {
	b.Helper()
	payload, err := os.ReadFile("testdata/checkout.session.completed.json")
	require.NoError(b, err)
	return payload
}

// Compares Verify with stripe-go's way to the same fields.
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

// Not parallel: the count is that of the process.
func TestReceiver_Allocations(t *testing.T) {
	payload := realistic(t)
	header := sign(payload, secret, time.Now())
	ours := testing.AllocsPerRun(20, func() {
		_, err := webhook.Verify(payload, header, []string{secret}, time.Hour, time.Now())
		require.NoError(t, err)
	})
	theirs := testing.AllocsPerRun(20, func() {
		ev, err := stripe.ConstructEventWithTolerance(payload, header, secret, time.Hour)
		require.NoError(t, err)
		var session stripego.CheckoutSession
		require.NoError(t, json.Unmarshal(ev.Data.Raw, &session))
	})
	t.Logf("%.0f allocations, and stripe-go's %.0f", ours, theirs)
	require.Less(t, ours, theirs/3)
}
