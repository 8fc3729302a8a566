package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/webhook"
)

func verified(t testing.TB, payload string) (webhook.Event, error) {
	t.Helper()
	return webhook.Verify([]byte(payload), sign([]byte(payload), secret, time.Now()), []string{secret}, 0, time.Now())
}

func TestVerify_EventFields(t *testing.T) {
	t.Parallel()
	with := func(object string) string { return `{"id":"evt_1","type":"t","data":{"object":` + object + `}}` }
	long := strings.Repeat("x", 256)

	for name, c := range map[string]struct {
		payload string
		want    webhook.Event // but for ID, Type, Object and Payload
	}{
		"the envelope": {
			`{"id":"evt_1","type":"t","api_version":"2023-10-16","account":"acct_1","created":1795000000,` +
				`"livemode":true,"data":{"object":{}}}`,
			webhook.Event{APIVersion: "2023-10-16", Account: "acct_1", Created: time.Unix(1795000000, 0).UTC(),
				Livemode: true},
		},
		"a session": {
			with(`{"id":"cs_1","object":"checkout.session","payment_status":"unpaid","payment_intent":"pi_1",` +
				`"client_reference_id":"r"}`),
			webhook.Event{ObjectID: "cs_1", SessionID: "cs_1", PaymentStatus: "unpaid", PaymentIntentID: "pi_1",
				Reference: "r"},
		},
		"a PaymentIntent": {
			with(`{"id":"pi_1","object":"payment_intent","metadata":{"payment_id":"m"}}`),
			webhook.Event{ObjectID: "pi_1", PaymentIntentID: "pi_1", Reference: "m"},
		},
		"a charge whose PaymentIntent is expanded": {
			with(`{"id":"ch_1","object":"charge","payment_intent":{"id":"pi_1","object":"payment_intent","amount":1}}`),
			webhook.Event{ObjectID: "ch_1", PaymentIntentID: "pi_1"},
		},
		"an escaped reference": {with(`{"id":"x\u0041","client_reference_id":"caf\u00e9"}`),
			webhook.Event{ObjectID: "xA", Reference: "café"}},
		"client_reference_id before metadata": {with(`{"client_reference_id":"r","metadata":{"payment_id":"m"}}`),
			webhook.Event{Reference: "r"}},
		"null everywhere": {`{"id":"evt_1","type":"t","api_version":null,"account":null,` +
			`"created":null,"livemode":null,"data":null}`, webhook.Event{}},
		"no data":                    {`{"id":"evt_1","type":"t"}`, webhook.Event{}},
		"data of a wrong type":       {`{"id":"evt_1","type":"t","data":[1]}`, webhook.Event{}},
		"no object":                  {`{"id":"evt_1","type":"t","data":{}}`, webhook.Event{}},
		"an object that is null":     {with(`null`), webhook.Event{}},
		"an object that is a string": {with(`"cs_1"`), webhook.Event{}},
		"an object that is a list":   {with(`[{"id":"cs_1"}]`), webhook.Event{}},
		"wrong types beside right ones": {with(`{"id":"cs_1","object":7,"payment_intent":[],` +
			`"client_reference_id":{},"metadata":"m"}`), webhook.Event{ObjectID: "cs_1"}},
		"an expanded PaymentIntent without an id": {with(`{"id":"ch_1","payment_intent":{"id":5}}`),
			webhook.Event{ObjectID: "ch_1"}},
		"wrong types in the envelope": {`{"id":"evt_1","api_version":1,"account":{},"created":"x",` +
			`"livemode":"yes","data":7,"type":"t"}`, webhook.Event{}},
		"a time beyond the calendar":     {`{"id":"evt_1","type":"t","created":9223372036854775807}`, webhook.Event{}},
		"a time before it":               {`{"id":"evt_1","type":"t","created":-9223372036854775808}`, webhook.Event{}},
		"a time that is no whole number": {`{"id":"evt_1","type":"t","created":1.5}`, webhook.Event{}},
		"values too long": {with(`{"id":"` + long + `","payment_intent":"` + long +
			`","client_reference_id":"` + long + long + `"}`), webhook.Event{}},
		"a NUL": {with(`{"id":"cs\u0000","payment_intent":"\u0000","client_reference_id":"\u0000",` +
			`"metadata":{"payment_id":"m\u0000"}}`), webhook.Event{}},
		"half a surrogate pair": {with(`{"id":"x\ud800"}`), webhook.Event{ObjectID: "x\uFFFD"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ev, err := verified(t, c.payload)
			require.NoError(t, err)
			require.Equal(t, "evt_1", ev.ID)
			require.Equal(t, "t", ev.Type)
			require.Equal(t, c.payload, string(ev.Payload))
			if ev.Object != nil {
				require.True(t, json.Valid(ev.Object))
				require.Contains(t, c.payload, string(ev.Object))
			}
			c.want.ID, c.want.Type, c.want.Object, c.want.Payload = ev.ID, ev.Type, ev.Object, ev.Payload
			require.Equal(t, c.want, ev)
		})
	}
}

func TestVerify_NotAnEvent(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"empty":                  ``,
		"white space":            " \n",
		"not JSON":               `id=evt_1`,
		"cut off":                `{"id":"evt_1","type":"t"`,
		"two values":             `{"id":"evt_1","type":"t"} {}`,
		"null":                   `null`,
		"a list":                 `[{"id":"evt_1","type":"t"}]`,
		"a string":               `"evt_1"`,
		"no id":                  `{"type":"t"}`,
		"an empty id":            `{"id":"","type":"t"}`,
		"an id of another type":  `{"id":7,"type":"t"}`,
		"no type":                `{"id":"evt_1"}`,
		"a type of another type": `{"id":"evt_1","type":["t"]}`,
		"a NUL in the id":        `{"id":"evt\u0000","type":"t"}`,
		"an endless id":          `{"id":"` + strings.Repeat("x", 1<<18) + `","type":"t"}`,
		"an endless type":        `{"id":"evt_1","type":"` + strings.Repeat("x", 256) + `"}`,
		"bad UTF-8":              "{\"id\":\"evt_1\",\"type\":\"t\",\"x\":\"\xff\"}",
		"a raw NUL":              "{\"id\":\"evt_1\",\"type\":\"t\",\"x\":\"\x00\"}",
		"deep lists": `{"id":"evt_1","type":"t","data":` + strings.Repeat("[", 200_000) +
			strings.Repeat("]", 200_000) + `}`,
		"deep objects": `{"id":"evt_1","type":"t","data":` + strings.Repeat(`{"object":`, 50_000) + `1` +
			strings.Repeat("}", 50_000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := verified(t, payload)
			require.Equal(t, &webhook.RejectedError{Reason: webhook.ReasonNotAnEvent}, err)
		})
	}
}
