package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// forged is a delivery with a bad signature from an address.
func forged(address string) *http.Request {
	req := request(event("evt_forged", completed))
	req.Header.Set("Stripe-Signature", sign(event("evt_forged", completed), "whsec_guess", time.Now()))
	req.RemoteAddr = address + ":4711"
	return req
}

// elsewhere is an address with another bucket.
func elsewhere(r *webhook.Receiver, address string) string {
	for n := range 255 {
		if other := fmt.Sprintf("198.51.100.%d", n); !webhook.SameBucket(r, address, other) {
			return other
		}
	}
	panic("all addresses share a place")
}

// The address gets 429 and is no longer logged, and a genuine event from it passes.
func TestSignatureLimit_OneAddress(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	var log lines
	now := time.Now()
	var observed atomic.Int64
	r := newReceiver(t, db, webhook.Options{
		Logger: log.logger(), MaxBadSignatures: 5, Now: func() time.Time { return now },
		Observe: func(context.Context, webhook.Delivery) { observed.Add(1) },
	})
	r.Handle(completed, effect)
	flood := func(n int, want int) {
		t.Helper()
		for range n {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, forged("192.0.2.7"))
			require.Equal(t, want, w.Code)
			if want == http.StatusTooManyRequests {
				require.Equal(t, "60", w.Header().Get("Retry-After"))
				require.JSONEq(t, `{"error":"too_many_bad_signatures"}`, w.Body.String())
			} else {
				require.Empty(t, w.Header().Get("Retry-After"))
			}
		}
	}
	flood(5, http.StatusBadRequest)
	flood(100, http.StatusTooManyRequests)
	require.Len(t, log.all(t), 6, "five, and one that says that there are too many")
	require.Equal(t, "too_many_bad_signatures", log.all(t)[5]["reason"])

	genuine := request(event("evt_1", completed))
	genuine.RemoteAddr = "192.0.2.7:4711"
	require.Equal(t, done(webhook.Processed), serve(t, r, genuine), "a proxy may have both behind it")
	require.Equal(t, refused(webhook.ReasonSignatureWrong), serve(t, r, forged(elsewhere(r, "192.0.2.7"))),
		"another address is not this one")
	// A valid signature that is too old does not count.
	late := request(event("evt_2", completed))
	late.RemoteAddr = "192.0.2.7:4711"
	late.Header.Set("Stripe-Signature", sign(event("evt_2", completed), secret, now.Add(-time.Hour)))
	require.Equal(t, refused(webhook.ReasonTooOld), serve(t, r, late))

	stats := r.Stats()
	require.EqualValues(t, 6, stats.Reasons[webhook.ReasonSignatureWrong])
	require.EqualValues(t, 100, stats.Reasons[webhook.ReasonRateLimited])
	require.EqualValues(t, 107, stats.Rejected)
	require.EqualValues(t, 108, observed.Load(), "what is not logged is observed")
	now = now.Add(time.Minute)
	flood(5, http.StatusBadRequest)
	flood(1, http.StatusTooManyRequests)
}

// Many addresses do not make memory or the log grow without bound, and a genuine event
// passes.
func TestSignatureLimit_ManyAddresses(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	effects(t, db)
	var log lines
	now := time.Now()
	r := newReceiver(t, db, webhook.Options{Logger: log.logger(), Now: func() time.Time { return now }})
	r.Handle(completed, effect)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 1000 {
				w := httptest.NewRecorder()
				r.ServeHTTP(w, forged(fmt.Sprintf("10.%d.%d.%d", i, j/250, j%250)))
				if w.Code != http.StatusBadRequest && w.Code != http.StatusTooManyRequests {
					t.Errorf("status %d", w.Code)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(log.all(t)), 200)
	require.Equal(t, done(webhook.Processed), send(t, r, event("evt_1", completed)))
	require.Len(t, log.all(t), 201, "its line is written")
}

// Options.ClientAddress is counted, and the limit can be turned off.
func TestSignatureLimit_ClientAddress(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, testdb.New(t), webhook.Options{MaxBadSignatures: 1,
		ClientAddress: func(req *http.Request) string { return req.Header.Get("X-Client") }})
	from := func(client string) int {
		req := forged("192.0.2.1")
		req.Header.Set("X-Client", client)
		return serve(t, r, req).Status
	}
	require.Equal(t, []int{400, 400, 429, 429}, []int{from("a"), from("b"), from("a"), from("b")})

	r = newReceiver(t, testdb.New(t), webhook.Options{MaxBadSignatures: -1})
	for range 50 {
		require.Equal(t, refused(webhook.ReasonSignatureWrong), serve(t, r, forged("192.0.2.1")))
	}
}
