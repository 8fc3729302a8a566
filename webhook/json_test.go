package webhook_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/booking-platform/booking-platform/webhook"
)

// decodeSlowly decodes an event with encoding/json.
func decodeSlowly(payload []byte) (ev webhook.Event, ok bool) {
	var e struct {
		ID         string `json:"id"`
		Type       string `json:"type"`
		APIVersion string `json:"api_version"`
		Account    string `json:"account"`
		Created    int64  `json:"created"`
		Livemode   bool   `json:"livemode"`
		Data       struct {
			Object json.RawMessage `json:"object"`
		} `json:"data"`
	}
	if !utf8.Valid(payload) || !leniently(payload, &e) {
		return ev, false
	}
	ev = webhook.Event{ID: bounded(e.ID, 255), Type: bounded(e.Type, 255), APIVersion: bounded(e.APIVersion, 255),
		Account: bounded(e.Account, 255), Livemode: e.Livemode, Payload: payload}
	if ev.ID == "" || ev.Type == "" {
		return webhook.Event{}, false
	}
	if e.Created > 0 && e.Created < 253402300800 {
		ev.Created = time.Unix(e.Created, 0).UTC()
	}
	raw := e.Data.Object
	if len(raw) == 0 || raw[0] != '{' {
		return ev, true
	}
	var o struct {
		ID                string `json:"id"`
		Kind              string `json:"object"`
		PaymentIntent     intent `json:"payment_intent"`
		PaymentStatus     string `json:"payment_status"`
		ClientReferenceID string `json:"client_reference_id"`
		Metadata          struct {
			PaymentID string `json:"payment_id"`
			RequestID string `json:"request_id"`
		} `json:"metadata"`
	}
	leniently(raw, &o)
	ev.Object, ev.ObjectID, ev.PaymentIntentID = raw, bounded(o.ID, 255), bounded(string(o.PaymentIntent), 255)
	var money struct {
		ID            string `json:"id"`
		PaymentStatus string `json:"payment_status"`
		AmountTotal   int64  `json:"amount_total"`
		Currency      string `json:"currency"`
	}
	strictly := json.Unmarshal(raw, &money) == nil
	switch o.Kind {
	case "checkout.session":
		ev.SessionID, ev.PaymentStatus = ev.ObjectID, bounded(o.PaymentStatus, 255)
		if strictly {
			ev.AmountTotal, ev.Currency = money.AmountTotal, bounded(money.Currency, 255)
		}
	case "payment_intent":
		ev.PaymentIntentID = ev.ObjectID
	}
	ev.Reference = bounded(o.ClientReferenceID, 500)
	if ev.Reference == "" {
		ev.Reference = bounded(o.Metadata.PaymentID, 500)
	}
	if regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`).MatchString(o.Metadata.RequestID) {
		ev.RequestID = o.Metadata.RequestID
	}
	return ev, true
}

// intent is an id, or an expanded object with one.
type intent string

func (i *intent) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, (*string)(i))
	}
	var o struct {
		ID string `json:"id"`
	}
	leniently(b, &o)
	*i = intent(o.ID)
	return nil
}

// leniently decodes all fields but those of another type.
func leniently(b []byte, v any) bool {
	err := json.Unmarshal(b, v)
	mismatch := (*json.UnmarshalTypeError)(nil)
	return err == nil || errors.As(err, &mismatch)
}

func bounded(s string, limit int) string {
	if len(s) > limit || strings.Contains(s, "\x00") {
		return ""
	}
	return s
}

// An event is decoded as encoding/json decodes it: the last of several members with one
// name counts, names are compared without case, values of another type do not count, and
// what is too deep is refused.
func FuzzEvent_SameAsEncodingJSON(f *testing.F) {
	object := func(members string) string {
		return `{"id":"evt_1","type":"t","data":{"object":{"object":"checkout.session",` + members + `}}}`
	}
	for _, seed := range []string{
		string(event("evt_1", completed)), string(realistic(f)),
		` { "id" : "a" , "type" : "b" , "x" : [ 1 , { "y" : "z\\" } ] , "data" : { } } `,
		`{"id":"a","id":"b","ID":"c","type":"t","Type":5,"id":null}`,
		`{"\u0069d":"a","type":"t","api_ver\u0073ion":"v","\u212aey":1,"api_verſion":"w"}`,
		`{"ıd":"a","İD":"b","id":"c","type":"t"}`,
		`{"id":"a","type":"t","created":5,"created":1.5,"livemode":true,"livemode":null,"livemode":"x"}`,
		`{"id":"a","type":"t","created":-0,"account":"\ud83d\ude00\ud800x"}`,
		`{"id":"a","type":"t","data":{"object":{"id":"1"}},"data":{"object":{"id":"2"},"object":[]}}`,
		`{"id":"a","type":"t","data":{"object":{"id":"1"}},"data":null,"data":7,"Data":{"OBJECT":{"id":"3"}}}`,
		object(`"id":"cs_1","payment_status":"paid","amount_total":2500,"currency":"eur"`),
		object(`"id":"cs_1","payment_status":"paid","amount_total":"x","amount_total":2500,"currency":"eur"`),
		object(`"id":7,"id":"cs_1","payment_status":null,"Amount_Total":25e2,"currency":null`),
		object(`"amount_total":9223372036854775808,"currency":"EUR","currency":"u\u0000"`),
		object(`"payment_intent":"pi_1","payment_intent":null`), object(`"payment_intent":{"id":"a","ID":"b","id":1}`),
		object(`"payment_intent":{"id":"a"},"payment_intent":[1]`), object(`"payment_intent":true`),
		object(`"metadata":{"payment_id":"a","request_id":"req_12345"},"metadata":"x","metadata":{"payment_id":1}`),
		object(`"client_reference_id":"","metadata":{"payment_id":"\"}{"}`),
		`{"":"","id":"a","type":"t"}`, `{"id":"a","type":"t"}x`, `{"id":"a","type":"t",}`, `{"id":"a" "type":"t"}`,
		`{"id":"a","type":"t","x":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`,
		`{"id":"a","type":"t","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`,
		`"x"`, `7`, `[]`, ` `, `[1,-0.5e+7,01,1.,-,1e,.5,"\u00zz","\q",tru]`, `{"a":[{},[ ],{"b":[]}],"c":nulll}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if webhook.IsValid(payload) != json.Valid(payload) {
			t.Fatalf("%q: json.Valid is %v", payload, json.Valid(payload))
		}
		got, err := verified(t, string(payload))
		want, ok := decodeSlowly(payload)
		if ok != (err == nil) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q\ngot  %+v (%v)\nwant %+v", payload, got, err, want)
		}
	})
}
