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

// Whatever object a signed event is about, the answer is no error of ours, and the payment can be read as before. SESSION, PAYMENT and
// INTENT stand for the ids of a payment that there is.
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
			`{"id":"SESSION","amount_total":1e30,"currency":"\u0000","payment_status":[]}`, `{}`, `{"id":"","payment_intent":"INTENT"}`,
		} {
			f.Add(uint8(i), object)
		}
	}
	checkout, made := all.checkout(all.hold(0)), 1
	f.Fuzz(func(t *testing.T, which uint8, object string) {
		if len(object) > 100<<10 {
			return // The receiver refuses those by their size.
		}
		w := *all
		w.t = t
		now, err := w.payments.Get(t.Context(), checkout.PaymentID)
		require.NoError(t, err)
		if now.Status() != payments.Open {
			checkout = w.checkout(w.hold(made % 48))
			made++
		}
		object = strings.NewReplacer("SESSION", checkout.SessionID, "PAYMENT", checkout.PaymentID, "INTENT", "pi_"+checkout.SessionID).Replace(object)
		payload := []byte(`{"id":"evt_` + uuid.NewString() + `","object":"event","type":"` + types[int(which)%len(types)] + `","api_version":"` + stripetest.APIVersion +
			`","created":` + strconv.FormatInt(time.Now().Unix(), 10) + `,"livemode":false,"data":{"object":` + object + `}}`)
		status := w.sendRaw(payload)
		if status != http.StatusOK && (status != http.StatusBadRequest || json.Valid(payload) && utf8.Valid(payload)) {
			t.Fatalf("%d for %s", status, payload)
		}
		_, err = w.payments.Get(t.Context(), checkout.PaymentID)
		require.NoError(t, err, "%s", payload)
	})
}
