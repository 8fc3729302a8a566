package webhook_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Whatever is signed and delivered has its row, payload included, or is refused: it is never an error of ours or of the database's.
func FuzzDelivery(f *testing.F) {
	r := newReceiver(f, testdb.New(f), webhook.Options{KeepPayload: true})
	for _, seed := range []string{
		string(event("evt_1", completed)), `{"id":"evt_1","type":"t"}`, `{"id":"evt_1","type":"\u0000"}`, `{"id":"evt_1","type":"t","api_version":"\ud800"}`,
		`{"id":"evt_1","type":"t","created":253402300800}`, `{"id":"evt_1","type":"t","created":-62135596801}`, `{"id":"evt_1","type":"t","a":"\u0000"}`,
		`{"id":"evt_1","type":"t","account":"acct_1","livemode":true}`, "{\"id\":\"evt_1\",\"type\":\"t\xff\"}", `{"id":"evt_1","type":"t","data":{"object":{"id":"\\"}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request(payload))
		if w.Code != http.StatusOK && w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge {
			t.Fatalf("%d %s for %q", w.Code, w.Body, payload)
		}
	})
}
