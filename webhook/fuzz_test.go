package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

// Only a header with the real signature passes.
func FuzzVerifyHeader(f *testing.F) {
	now := time.Unix(1795000000, 0)
	payload := event("evt_1", completed)
	good := sign(payload, secret, now)
	v1 := good[strings.Index(good, "v1=")+3:]
	for _, seed := range []string{
		good, good + "," + good, good + ",v0=00", "t=1795000000,v1=", "t=,v1=" + v1, "v1=" + v1,
		"t=1,t=1795000000,v1=" + v1, "t=1795000000,t=1,v1=" + v1,
		"t=9223372036854775807,v1=" + v1, "t=-9223372036854775808,v1=" + v1, "t=99999999999999999999,v1=00",
		strings.ToUpper(good), good + ",", " " + good,
		"", ",", "=", "t==,v1==", "t=1795000000;v1=" + v1, "\x00", "t=0x6afd2c40,v1=" + v1,
		strings.Repeat("v1=00,", 100) + good,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ev, err := webhook.Verify(payload, header, []string{"whsec_old", secret}, 0, now)
		if err != nil {
			var rejected *webhook.RejectedError
			if !errors.As(err, &rejected) || rejected.Reason == webhook.ReasonNotAnEvent {
				t.Fatalf("%q: %v", header, err)
			}
			return
		}
		if ev.ID != "evt_1" || !strings.Contains(strings.ToLower(header), v1) || !strings.Contains(header, "t=") {
			t.Fatalf("accepted %q", header)
		}
	})
}

// What is signed is an event that can be stored, or is rejected; decoding it twice gives
// the same.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		string(event("evt_1", completed)), `{"id":"evt_1","type":"t"}`, `{"id":"evt_1","type":"t","data":null}`,
		`{"id":"evt_1","type":"t","data":{"object":null}}`,
		`{"id":"evt_1","type":"t","data":{"object":{"payment_intent":{"id":"pi_1"},"metadata":{"payment_id":"p"}}}}`,
		`{"id":"evt_1","type":"t","data":{"object":{"object":"payment_intent","id":"pi\u0000",` +
			`"payment_intent":null,"metadata":[]}}}`,
		`{"id":"evt_1","type":"t","created":1e400,"livemode":1,"account":"\ud800"}`,
		`{"id":"evt_1","type":"t","created":-1}`,
		`{"ID":"a","id":"b","Type":"c"}`, `{"id":"evt\u0000","type":"t"}`, `[]`, `null`, ``, "\xef\xbb\xbf{}",
		`{"id":"evt_1","type":"\xff"}`,
		strings.Repeat(`{"data":`, 50) + `1` + strings.Repeat(`}`, 50), strings.Repeat("[", 20000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		now := time.Now()
		ev, err := webhook.Verify(payload, sign(payload, secret, now), []string{secret}, 0, now)
		if err != nil {
			var rejected *webhook.RejectedError
			if !errors.As(err, &rejected) || rejected.Reason != webhook.ReasonNotAnEvent {
				t.Fatalf("%q: %v", payload, err)
			}
			return
		}
		if ev.ID == "" || ev.Type == "" || !bytes.Equal(ev.Payload, payload) || !utf8.Valid(ev.Payload) ||
			bytes.IndexByte(ev.Payload, 0) >= 0 {
			t.Fatalf("%q: %+v", payload, ev)
		}
		for _, s := range []string{ev.ID, ev.Type, ev.APIVersion, ev.Account, ev.ObjectID, ev.SessionID,
			ev.PaymentStatus, ev.PaymentIntentID, ev.Reference} {
			if len(s) > 500 || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
				t.Fatalf("%q cannot be stored", s)
			}
		}
		if ev.Object != nil && (ev.Object[0] != '{' || !json.Valid(ev.Object)) {
			t.Fatalf("object %q", ev.Object)
		}
		if y := ev.Created.Year(); !ev.Created.IsZero() && (y < 1970 || y > 9999) {
			t.Fatalf("created %v", ev.Created)
		}
	})
}

// What is signed and delivered has a row with its payload, or is rejected: it never
// causes an error.
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
		// A row of an earlier event with this id has another payload.
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
		// If the id is repeated, one that is not a string is an error, and does not
		// change the other.
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
