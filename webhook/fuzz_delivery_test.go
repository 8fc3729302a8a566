package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Whatever is signed and delivered has its row, payload included, or is refused: it is
// never an error of ours or of the database's.
func FuzzDelivery(f *testing.F) {
	db := testdb.New(f)
	r := newReceiver(f, db, webhook.Options{KeepPayload: true})
	for _, seed := range []string{
		string(event("evt_1", completed)), `{"id":"evt_1","type":"t"}`, `{"id":"evt_1","type":"\u0000"}`,
		`{"id":"evt_1","type":"t","api_version":"\ud800"}`,
		`{"id":"evt_1","type":"t","created":253402300800}`, `{"id":"evt_1","type":"t","created":-62135596801}`,
		`{"id":"evt_1","type":"t","a":"\u0000"}`,
		`{"id":"evt_1","type":"t","account":"acct_1","livemode":true}`, "{\"id\":\"evt_1\",\"type\":\"t\xff\"}",
		`{"id":"evt_1","type":"t","data":{"object":{"id":"\\"}}}`,
		`{"id":"evt_1","type":"t","id":2}`, ` {"ID":"\u0045vt_1", "type":"t"} `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		// An event that came before would have its row already, with another payload.
		if _, err := db.ExecContext(t.Context(), `DELETE FROM booking_platform.payment_events`); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		r.ServeHTTP(w, request(payload))
		switch w.Code {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			return
		case http.StatusOK:
		default:
			t.Fatalf("%d %s for %q", w.Code, w.Body, payload)
		}
		var sent struct {
			ID string `json:"id"`
		}
		// Where the id comes twice, one that is no string is an error, and leaves the
		// other.
		_ = json.Unmarshal(payload, &sent)
		kept, err := webhook.NewLedger(db, "").Find(t.Context(), sent.ID)
		if err != nil {
			t.Fatalf("%v for %q", err, payload)
		}
		if !bytes.Equal(kept.Payload, payload) {
			t.Fatalf("kept %q of %q", kept.Payload, payload)
		}
	})
}
