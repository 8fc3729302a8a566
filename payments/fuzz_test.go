package payments_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// Whatever object a signed event is about, the answer is no error of ours, and the
// payment can be read as before. SESSION, PAYMENT and INTENT stand for the ids of a
// payment that there is.
func FuzzEvents(f *testing.F) {
	all := newWorld(f, setup{capacity: 10000})
	types := payments.EventTypes()
	for i := range types {
		for _, object := range []string{
			`{"id":"SESSION","object":"checkout.session","status":"complete","payment_status":"paid","amount_total":2500,"currency":"eur","payment_intent":"INTENT","client_reference_id":"PAYMENT","metadata":{"payment_id":"PAYMENT"}}`,
			`{"id":"SESSION","object":"checkout.session","payment_status":"unpaid","amount_total":-1,"currency":"EUR","payment_intent":null}`,
			`{"id":"ch_1","object":"charge","payment_intent":"INTENT","amount":2500,"amount_captured":2500,"amount_refunded":2500,"refunded":true,"currency":"eur","metadata":{"payment_id":"PAYMENT"},"refunds":{"data":[{"id":"re_1","amount":2500,"currency":"eur","status":"succeeded"}]}}`,
			`{"id":"re_1","object":"refund","payment_intent":"INTENT","charge":"ch_1","amount":9223372036854775807,"currency":"eur","status":"succeeded","metadata":{"payment_id":"PAYMENT"}}`,
			`{"id":"re_3","object":"refund","payment_intent":"INTENT","amount":9223372036854775807,"currency":"eur","status":"pending"}`,
			`{"id":"re_2","object":"refund","payment_intent":{"id":"INTENT"},"charge":{"id":"ch_1"},"amount":1,"currency":"jpy","status":"failed","failure_reason":"lost_or_stolen_card"}`,
			`{"id":"du_1","object":"dispute","payment_intent":"INTENT","charge":"ch_1","amount":2500,"currency":"eur","status":"lost","reason":"fraudulent"}`,
			`{"id":"SESSION","amount_total":1e30,"currency":"\u0000","payment_status":[]}`, `{}`,
			`{"id":"","payment_intent":"INTENT"}`,
		} {
			f.Add(uint8(i), object)
		}
	}
	// What is no JSON by itself, although the event around it is; and what is too large
	// only when the ids are in it.
	f.Add(uint8(0), `0},"id":"","x":{"y":0`)
	f.Add(uint8(0), `{"x":"`+strings.Repeat("INTENT", 17000)+`"}`)
	const largest = 1<<20 - 1<<10 // With the event around it, that is what the receiver takes.
	made := 0
	f.Fuzz(func(t *testing.T, which uint8, object string) {
		// The ids change nothing of that. What is no JSON may be some together with what
		// is around it, and another event than the one that is meant.
		if !json.Valid([]byte(object)) {
			return
		}
		w := *all
		w.t = t
		// Each has a payment of its own, so that what is found does not depend on what
		// came before.
		checkout := w.checkout(w.hold(made % 48))
		made++
		object = strings.NewReplacer("SESSION", checkout.SessionID, "PAYMENT", checkout.PaymentID, "INTENT",
			"pi_"+checkout.SessionID).Replace(object)
		if len(object) > largest {
			return
		}
		payload := []byte(`{"id":"evt_` + uuid.NewString() + `","object":"event","type":"` +
			types[int(which)%len(types)] + `","api_version":"` + stripetest.APIVersion +
			`","created":` + strconv.FormatInt(time.Now().Unix(), 10) + `,"livemode":false,"data":{"object":` + object +
			`}}`)
		status := w.sendRaw(payload)
		// Bytes that are no UTF-8, and what is nested too deeply for one more level.
		refused := !utf8.Valid(payload) || !json.Valid(payload)
		if status != http.StatusOK && (status != http.StatusBadRequest || !refused) {
			t.Fatalf("%d for %s", status, payload)
		}
		_, err := w.payments.Get(t.Context(), checkout.PaymentID)
		require.NoError(t, err, "%s", payload)
	})
}
