package stripetest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options configures a Server. Only SecretKey is required.
type Options struct {
	// SecretKey is the key that calls must carry. Live keys (sk_live_…) are refused.
	SecretKey string

	// PublicURL is the handler's address for customers, with any prefix, without a
	// trailing slash (http://127.0.0.1:3000/stripe). Pay page URLs begin with it. Empty
	// means the scheme and host of each request, for a handler at the root.
	PublicURL string

	// WebhookURL is where Run delivers events. If empty, they are recorded only.
	WebhookURL string

	// WebhookSecret signs deliveries. Required with WebhookURL.
	WebhookSecret string

	// WebhookEndpoints are what the API lists, oldest first; nothing is sent to them. Nil
	// lists one for WebhookURL, if set.
	WebhookEndpoints []WebhookEndpoint

	// APIVersion is the account's API version, such as 2026-03-25.dahlia: that of events
	// and of answers to calls without a Stripe-Version header. Use that of the stripe-go
	// whose webhook.ConstructEvent receives the events. Empty means 2023-10-16, the
	// earliest; versions after 2026-08-26.dahlia get its objects.
	APIVersion string

	// Logger logs sessions, refused calls and deliveries. Nil discards.
	Logger *slog.Logger

	// Now is the clock, safe for concurrent use; nil means time.Now. Run reads it once a
	// second and after Advance.
	Now func() time.Time

	// Backoff holds the pauses after the first, second, … failure of a delivery, on this
	// server's clock; the last one repeats. Nil means 0.2 s, 1 s, 5 s, 15 s, 1 min, 5
	// min, 30 min, 1 h. One very long pause disables retries.
	Backoff []time.Duration

	// DeliveryTimeout bounds one delivery, response included. 0 means 10 seconds.
	DeliveryTimeout time.Duration

	// BankDebit makes the pay page offer a bank debit, a delayed payment, beside the
	// card. Sessions without payment_method_types then have both.
	BankDebit bool

	// NeverMade reports events that are never created: neither delivered nor listed.
	// Deliver returns the delays of an event's deliveries, on this server's clock: none
	// loses the webhook (it is listed as undelivered), {0, 0} sends it twice at once,
	// different delays change the order. Nil means {0}. Both are called with the Server
	// locked and must not call it.
	NeverMade func(Event) bool
	Deliver   func(Event) []time.Duration

	// OnCreate is called with each new session before the creating call is answered, for
	// example to pay so that the webhook arrives first. It may call any method of the
	// Server and may run concurrently.
	OnCreate func(Session)

	// OnRefund is the same for each refund of a call.
	OnRefund func(Refund)

	// OnIntent is the same for each payment intent of a call.
	OnIntent func(PaymentIntent)

	// IntentEvents also sends payment_intent.created and .succeeded for sessions'
	// intents, as Stripe does. Those of intents made by calls are always sent.
	IntentEvents bool

	// KeyInUseType is the error type of a 409 idempotency_key_in_use. Sources differ on
	// Stripe's: invalid_request_error (the default) or idempotency_error.
	KeyInUseType string

	// PendingRefunds makes all refunds pending until settled; see also
	// MakeRefundsPending.
	PendingRefunds bool
}

func (o Options) check() error {
	if o.SecretKey == "" {
		return errors.New("no secret key")
	}
	if strings.HasPrefix(o.SecretKey, "sk_live_") || strings.HasPrefix(o.SecretKey, "rk_live_") {
		return errors.New("the secret key is a live one")
	}
	if o.PublicURL != "" && !absoluteURL(o.PublicURL) {
		return errors.New("the public URL is not an absolute http(s) URL")
	}
	if o.WebhookURL != "" && !absoluteURL(o.WebhookURL) {
		return errors.New("the webhook URL is not an absolute http(s) URL")
	}
	if o.WebhookURL != "" && o.WebhookSecret == "" {
		return errors.New("a webhook URL without a webhook secret")
	}
	if o.APIVersion != "" {
		if err := checkVersion(o.APIVersion); err != nil {
			return err
		}
	}
	for _, pause := range o.Backoff {
		if pause <= 0 {
			return errors.New("a pause between deliveries is not positive")
		}
	}
	if o.DeliveryTimeout < 0 {
		return errors.New("the delivery timeout is negative")
	}
	if !slices.Contains([]string{"", "invalid_request_error", "idempotency_error"}, o.KeyInUseType) {
		return errors.New("the error type of a key in use is neither invalid_request_error nor idempotency_error")
	}
	return nil
}

func absoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// WebhookEndpoint is a webhook endpoint of the account, for programs that check it.
type WebhookEndpoint struct {
	// ID is we_…; generated if empty.
	ID  string
	URL string
	// EnabledEvents are the types that are sent; "*" means all.
	EnabledEvents []string
	// APIVersion is the version of its events; empty means the account's default.
	APIVersion string
	Disabled   bool
	Livemode   bool
}

var endpointListParameters = setOf("expand[]", "limit", "starting_after")

func (o Options) endpoints() []WebhookEndpoint {
	given := o.WebhookEndpoints
	if given == nil && o.WebhookURL != "" {
		given = []WebhookEndpoint{{URL: o.WebhookURL, EnabledEvents: []string{"*"}, APIVersion: o.APIVersion}}
	}
	all := make([]WebhookEndpoint, 0, len(given))
	for _, e := range given {
		if e.ID == "" {
			e.ID = newID("we_", 24)
		}
		all = append(all, e)
	}
	return all
}

func (s *Server) listEndpoints(c *call) (any, error) {
	ids := make([]string, 0, len(s.endpoints))
	byID := map[string]WebhookEndpoint{}
	for _, e := range s.endpoints {
		ids = append(ids, e.ID)
		byID[e.ID] = e
	}
	return page(c, "webhook endpoint", ids, func(id string) (WebhookEndpoint, bool) { return byID[id], true })
}

// MarshalJSON writes Stripe's object. Stripe shows the secret on creation only.
func (e WebhookEndpoint) MarshalJSON() ([]byte, error) {
	object := struct {
		ID            string            `json:"id"`
		Object        string            `json:"object"`
		APIVersion    *string           `json:"api_version"`
		Application   *string           `json:"application"`
		Created       int64             `json:"created"`
		Description   *string           `json:"description"`
		EnabledEvents []string          `json:"enabled_events"`
		Livemode      bool              `json:"livemode"`
		Metadata      map[string]string `json:"metadata"`
		Status        string            `json:"status"`
		URL           string            `json:"url"`
	}{ID: e.ID, Object: "webhook_endpoint", EnabledEvents: e.EnabledEvents, Livemode: e.Livemode,
		Metadata: map[string]string{}, Status: "enabled", URL: e.URL}
	if e.APIVersion != "" {
		object.APIVersion = &e.APIVersion
	}
	if e.Disabled {
		object.Status = "disabled"
	}
	return json.Marshal(object)
}
