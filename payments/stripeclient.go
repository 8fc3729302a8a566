package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stripe/stripe-go/v76"
)

// inUse tells whether another call under the same idempotency key is still under way at
// Stripe.
func inUse(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && (se.HTTPStatusCode == http.StatusConflict ||
		se.Code == stripe.ErrorCodeIdempotencyKeyInUse)
}

// notFound tells whether Stripe does not know the object. That alone decides nothing: a
// key of another account or mode is answered the same.
func notFound(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && (se.HTTPStatusCode == http.StatusNotFound ||
		se.Code == stripe.ErrorCodeResourceMissing)
}

// owns tells whether a payment is of the account and mode of this key.
func (p *Payments) owns(pay Payment) bool { return pay.Account == "" || pay.Account == p.account }

// gone tells whether an object that Stripe does not know is gone for good, which only a
// caller can say: see Options.MissingIsGone.
func (p *Payments) gone(err error) bool { return p.opts.MissingIsGone && notFound(err) }

// unavailable logs what Stripe said and wraps it as ErrUnavailable. Stripe's message is
// left out: it can quote parameters. A caller who has gone says nothing about Stripe.
func (p *Payments) unavailable(ctx context.Context, what, paymentID string, err error) error {
	return p.failed(ctx, ErrUnavailable, "stripe: could not "+what, what, paymentID, err)
}

// refusedBy is unavailable for a refusal that Stripe will repeat: ErrRefused.
func (p *Payments) refusedBy(ctx context.Context, what, paymentID string, err error) error {
	return p.failed(ctx, ErrRefused, "stripe refuses to "+what+", and will again: see its code and parameter", what,
		paymentID, err)
}

func (p *Payments) failed(ctx context.Context, kind error, message, what, paymentID string, err error) error {
	if gone := ctx.Err(); errors.Is(gone, context.Canceled) {
		return fmt.Errorf("payments: %s: %w", what, gone)
	}
	attrs := []slog.Attr{slog.String("payment_id", paymentID)}
	var se *stripe.Error
	if errors.As(err, &se) {
		attrs = append(attrs, slog.Int("stripe_status", se.HTTPStatusCode), slog.String("stripe_type", string(se.Type)),
			slog.String("stripe_code", string(se.Code)), slog.String("stripe_param", se.Param),
			slog.String("stripe_request_id", se.RequestID))
	} else {
		// An HTML answer of a proxy, a refused or broken connection, the time limit: not
		// an error of Stripe's API.
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	p.log.LogAttrs(ctx, slog.LevelError, message, attrs...)
	return fmt.Errorf("payments: %s: %w: %w", what, kind, err)
}

// checkKey returns a secret key of Stripe's API without the blanks around it, which come
// of files and lists. The error never quotes it.
func checkKey(key string) (string, error) {
	key = strings.TrimSpace(key)
	kind, rest, _ := strings.Cut(key, "_")
	switch {
	case key == "":
		return "", errors.New("payments: a Stripe secret key is required")
	case kind == "pk":
		return "",
			errors.New("payments: the Stripe key is a publishable one (pk_); a secret key begins with sk_ or rk_")
	case kind == "whsec":
		return "", errors.New("payments: the Stripe key is the signing secret of a webhook (whsec_); a secret key begins with sk_ or rk_")
	case kind != "sk" && kind != "rk" || strings.Trim(rest, "_") == "":
		return "", errors.New("payments: the Stripe key is no secret key; one begins with sk_ or rk_")
	}
	for _, r := range rest {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "",
				errors.New("payments: the Stripe key has a character that no key has; is it a list, or cut in two?")
		}
	}
	return key, nil
}

// accountOf is whose the payments of a key are: the name of the account and the key's
// mode. The key itself changes whenever it is rolled.
func accountOf(name, key string) string {
	_, rest, _ := strings.Cut(key, "_")
	mode, _, _ := strings.Cut(rest, "_")
	if mode != "live" && mode != "test" {
		mode = ""
	}
	return strings.Trim(name+"/"+mode, "/")
}

// followUp is what follows from an answer of Stripe's to a call that makes something under an
// idempotency key.
type followUp int

const (
	// sameKey: the call may be under way or done, or Stripe has not looked at it. It is
	// made again later with the same key, so that at most one object comes of all
	// repeats.
	sameKey followUp = iota
	// nextKey: this key brings nothing any more. The call is made again with the next
	// key; a refund is looked for at Stripe first.
	nextKey
	// nextKeyLater is nextKey where a call with other parameters may still be under way:
	// the key is kept until that must have ended.
	nextKeyLater
	// refused: Stripe will answer the same again. A person has to decide.
	refused
)

// answerRule is a row of a table of answers. The first row that fits counts; zero fields fit
// all.
type answerRule struct {
	from, to int // HTTP status
	codes    []stripe.ErrorCode
	kind     stripe.ErrorType
	params   []string
	// replayed fits only an answer that Stripe has stored under the key and repeats.
	replayed bool
	then     followUp
}

// keyUndecided are the answers that say nothing of what becomes of the key. The type
// of a 409 is not asked: sources differ on it. 404 comes of a key of another account or
// mode too.
var keyUndecided = []answerRule{
	{codes: []stripe.ErrorCode{stripe.ErrorCodeIdempotencyKeyInUse, stripe.ErrorCodeLockTimeout,
		stripe.ErrorCodeRateLimit}, then: sameKey},
	{from: http.StatusRequestTimeout, to: http.StatusRequestTimeout, then: sameKey},
	{from: http.StatusConflict, to: http.StatusConflict, then: sameKey},
	{from: http.StatusTooManyRequests, to: http.StatusTooManyRequests, then: sameKey},
}

// refundAnswers are the answers to POST /v1/refunds
// (https://docs.stripe.com/error-codes).
var refundAnswers = append(keyUndecided[:len(keyUndecided):len(keyUndecided)], []answerRule{
	{codes: []stripe.ErrorCode{stripe.ErrorCodeResourceMissing}, then: sameKey},
	{from: http.StatusNotFound, to: http.StatusNotFound, then: sameKey},
	// The key of the API is wrong, or lacks a permission: an operator mends that.
	{from: http.StatusUnauthorized, to: http.StatusUnauthorized, then: sameKey},
	{from: http.StatusForbidden, to: http.StatusForbidden, then: sameKey},
	{from: 500, to: 599, replayed: true, then: nextKey},
	{from: 500, to: 599, then: sameKey},
	// The key was used with other parameters, by another version of this program.
	{from: http.StatusBadRequest, to: http.StatusBadRequest, kind: stripe.ErrorTypeIdempotency, then: nextKeyLater},
	// These pass, and Stripe has stored them: too little balance, and a dispute that is
	// open.
	{codes: []stripe.ErrorCode{
		stripe.ErrorCodeBalanceInsufficient, stripe.ErrorCodeInsufficientFunds,
		stripe.ErrorCodeChargeDisputed, stripe.ErrorCodeRefundDisputedPayment,
	}, then: nextKey},
	{from: http.StatusPaymentRequired, to: http.StatusPaymentRequired, then: nextKey},
	{from: http.StatusBadRequest, to: http.StatusBadRequest, then: refused},
	{then: sameKey},
}...)

// checkoutAnswers are the answers to POST /v1/checkout/sessions. A session whose answer
// was lost has a URL that was told to no customer, so the next key needs no look-up.
var checkoutAnswers = append(keyUndecided[:len(keyUndecided):len(keyUndecided)], []answerRule{
	{replayed: true, then: nextKey},
	{from: 500, to: 599, then: sameKey},
	{from: http.StatusBadRequest, to: http.StatusBadRequest, kind: stripe.ErrorTypeIdempotency, then: nextKey},
	// The end that was frozen is too near by now, or Stripe does not take the customer's
	// address: the next attempt has another end, and no address.
	{from: http.StatusBadRequest, to: http.StatusBadRequest, params: []string{paramExpiresAt, paramEmail},
		then: nextKey},
	// A price below Stripe's least, a currency it does not know, a wrong key.
	{from: 400, to: 499, then: refused},
	{then: sameKey},
}...)

// classify finds what follows from an error. Without an answer of Stripe's API (a broken
// connection, a time limit, a proxy's page) it is sameKey, and so it is while Stripe asks
// for a pause.
func classify(table []answerRule, err error) followUp {
	var se *stripe.Error
	if !errors.As(err, &se) || RetryAfter(err) > 0 {
		return sameKey
	}
	for _, a := range table {
		if a.fits(se) {
			return a.then
		}
	}
	return sameKey
}

func (a answerRule) fits(se *stripe.Error) bool {
	replayed := se.LastResponse != nil && se.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	return (a.to == 0 || se.HTTPStatusCode >= a.from && se.HTTPStatusCode <= a.to) &&
		(a.kind == "" || se.Type == a.kind) && (!a.replayed || replayed) &&
		(a.codes == nil || slices.Contains(a.codes, se.Code)) &&
		(a.params == nil || slices.Contains(a.params, se.Param))
}

// newBackend makes a backend of our own: the library's global one would be shared with
// the embedder's other uses of it.
func newBackend(opts Options, transport http.RoundTripper) (stripe.Backend, error) {
	// A copy: the caller's client stays as it is.
	client := *opts.HTTPClient
	client.Transport = transport
	config := &stripe.BackendConfig{
		HTTPClient: &client,
		// Its log lines are not structured; errors are logged here, with the context.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		// One retry under the same key mends a connection that was closed while idle.
		// More would outlast the customer's patience: its pauses ignore the context.
		MaxNetworkRetries: stripe.Int64(1),
		EnableTelemetry:   stripe.Bool(false),
	}
	if opts.BaseURL != "" {
		u, err := url.Parse(opts.BaseURL)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("payments: Options.BaseURL %q is no absolute URL", opts.BaseURL)
		}
		config.URL = stripe.String(opts.BaseURL)
	}
	return redactingBackend{stripe.GetBackendWithConfig(stripe.APIBackend, config)}, nil
}
