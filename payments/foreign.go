package payments

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/webhook"
)

// noPayment is the outcome of a Checkout Session's event that matches no payment. A
// session of ours carries our payment's id as its reference, and a success_url below our
// own address: an event without them is of another product, or another installation, on
// the same Stripe account, and is ignored. Where the object does not say which
// success_url its session has, the reference decides.
func (p *Payments) noPayment(ev webhook.Event) webhook.Outcome {
	if uuid.Validate(ev.Reference) != nil {
		return webhook.Ignored
	}
	var session struct {
		SuccessURL json.RawMessage `json:"success_url"`
	}
	// What cannot be read is not known.
	if json.Unmarshal(ev.Object, &session) != nil || session.SuccessURL == nil {
		return webhook.Unmatched
	}
	var url string
	if json.Unmarshal(session.SuccessURL, &url) != nil || !strings.HasPrefix(url, p.appURL+"/") {
		return webhook.Ignored
	}
	return webhook.Unmatched
}
