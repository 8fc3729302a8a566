package stripetest

import (
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Options configures a Server. SecretKey is required; every other field has a
// zero value that works.
type Options struct {
	// SecretKey is the API key that calls must carry. A live key (sk_live_…) is
	// refused: it has no business here.
	SecretKey string

	// PublicURL is where customers reach the handler, prefix included and
	// without a trailing slash (http://127.0.0.1:3000/stripe). The address of a
	// session's pay page is made from it. Empty means the scheme and host that the
	// request creating the session used, which suits a handler served at the root.
	PublicURL string

	// WebhookURL is where Run delivers events. Empty means nowhere: events are
	// recorded and wait for no one.
	WebhookURL string

	// WebhookSecret signs deliveries. It is required with WebhookURL.
	WebhookSecret string

	// WebhookEndpoints are what the account's list of endpoints shows, oldest first. Nil
	// shows one for WebhookURL, where there is one. Nothing is sent to them.
	WebhookEndpoints []WebhookEndpoint

	// Logger is told about sessions, refused calls and deliveries. Nil discards.
	Logger *slog.Logger

	// Now is the clock. Nil means time.Now. It must be safe for concurrent use. Run
	// looks at it once a second, and whenever Advance is called.
	Now func() time.Time

	// Backoff holds the pauses, on this server's clock, after a delivery's first, second,
	// … failure; the last one repeats. Nil means 0.2 s, 1 s, 5 s, 15 s, 1 min, 5 min, 30
	// min, 1 h. A test that wants no redelivery by itself gives one very long pause.
	Backoff []time.Duration

	// DeliveryTimeout bounds one delivery, answer included. 0 means 10 seconds.
	DeliveryTimeout time.Duration

	// BankDebit lets the pay page offer a bank debit beside the card: a delayed
	// payment, which SettlePayment or FailPayment ends. Sessions that name no
	// payment methods then have both.
	BankDebit bool

	// NeverMade, when set, is asked about each event; true means that Stripe never
	// made it: it is neither delivered nor listed. Deliver, when set, says how the
	// others are delivered: one delivery for each duration, which is counted from
	// the event on this server's clock. None loses the webhook (the event is still
	// listed, as undelivered), {0, 0} sends it twice at once, and durations that
	// differ change the order. Nil is {0} for each. Both are called with the Server
	// locked and must not call it.
	NeverMade func(Event) bool
	Deliver   func(Event) []time.Duration

	// OnCreate, when set, is called with each new session after it exists and
	// before the call that created it is answered. The answer waits for it: a
	// test pays in it to have the webhook arrive first. It may call any method
	// of the Server and may be called from several goroutines at once.
	OnCreate func(Session)

	// OnRefund is the same for each refund that a call makes: its events can be
	// delivered before the call is answered.
	OnRefund func(Refund)

	// KeyInUseType is the error type of a 409 idempotency_key_in_use. Sources differ on
	// Stripe's: invalid_request_error, which "" stands for, or idempotency_error.
	KeyInUseType string

	// PendingRefunds makes all refunds pending until a test settles them; see also
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

// absoluteURL tells whether s is a URL that a browser can be sent to.
func absoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
