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

// inUse: another call with the key is in progress at Stripe.
func inUse(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && (se.HTTPStatusCode == http.StatusConflict ||
		se.Code == stripe.ErrorCodeIdempotencyKeyInUse)
}

// notFound is also what a key of another account or mode gets.
func notFound(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && (se.HTTPStatusCode == http.StatusNotFound ||
		se.Code == stripe.ErrorCodeResourceMissing)
}

func (p *Payments) owns(pay Payment) bool { return pay.Account == "" || pay.Account == p.account }

// gone: see Options.MissingIsGone.
func (p *Payments) gone(err error) bool { return p.opts.MissingIsGone && notFound(err) }

// unavailable logs Stripe's error and wraps it as ErrUnavailable, without its message,
// which can quote parameters. If ctx was cancelled it returns that.
func (p *Payments) unavailable(ctx context.Context, what, paymentID string, err error) error {
	return p.failed(ctx, ErrUnavailable, "stripe: could not "+what, what, paymentID, err)
}

// refusedBy is unavailable for ErrRefused.
func (p *Payments) refusedBy(ctx context.Context, what, paymentID string, err error) error {
	return p.failed(ctx, ErrRefused, "stripe: refused to "+what+"; a repeat will be refused too", what,
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
		// Not an error of Stripe's API: a proxy's answer, a broken connection, a timeout.
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	p.log.LogAttrs(ctx, slog.LevelError, message, attrs...)
	return fmt.Errorf("payments: %s: %w: %w", what, kind, err)
}

// checkKey trims white space. Its error does not quote the key.
func checkKey(key string) (string, error) {
	key = strings.TrimSpace(key)
	kind, rest, _ := strings.Cut(key, "_")
	switch {
	case key == "":
		return "", errors.New("payments: a Stripe secret key is required")
	case kind == "pk":
		return "",
			errors.New("payments: the Stripe key is a publishable key (pk_); a secret key begins with sk_ or rk_")
	case kind == "whsec":
		return "", errors.New(
			"payments: the Stripe key is a webhook signing secret (whsec_); a secret key begins with sk_ or rk_")
	case kind != "sk" && kind != "rk" || strings.Trim(rest, "_") == "":
		return "", errors.New("payments: the Stripe key is not a secret key, which begins with sk_ or rk_")
	}
	for _, r := range rest {
		if r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "",
				errors.New("payments: the Stripe key has an invalid character: is it a list, or cut in two?")
		}
	}
	return key, nil
}

// accountOf does not depend on the key itself, which may be rolled.
func accountOf(name, key string) string {
	_, rest, _ := strings.Cut(key, "_")
	mode, _, _ := strings.Cut(rest, "_")
	if mode != "live" && mode != "test" {
		mode = ""
	}
	return strings.Trim(name+"/"+mode, "/")
}

// followUp is what an answer to a call with an idempotency key asks for.
type followUp int

const (
	// sameKey: the call may be in progress or done. Repeat it later with the same key, so
	// that at most one object is made.
	sameKey followUp = iota
	// nextKey: the key is used up. Search a refund at Stripe before the next one.
	nextKey
	// nextKeyLater: as nextKey, but not while a call with other parameters may be in
	// progress.
	nextKeyLater
	// refused: Stripe will repeat the answer; an operator must act.
	refused
)

// answerRule is a row of a table. The first match applies; zero fields match all.
type answerRule struct {
	from, to int // HTTP status
	codes    []stripe.ErrorCode
	kind     stripe.ErrorType
	params   []string
	// replayed: only an answer stored under the key.
	replayed bool
	then     followUp
}

// keyUndecided answers say nothing about the key. Sources differ on the type of a 409.
var keyUndecided = []answerRule{
	{codes: []stripe.ErrorCode{stripe.ErrorCodeIdempotencyKeyInUse, stripe.ErrorCodeLockTimeout,
		stripe.ErrorCodeRateLimit}, then: sameKey},
	{from: http.StatusRequestTimeout, to: http.StatusRequestTimeout, then: sameKey},
	{from: http.StatusConflict, to: http.StatusConflict, then: sameKey},
	{from: http.StatusTooManyRequests, to: http.StatusTooManyRequests, then: sameKey},
}

// refundAnswers are those to POST /v1/refunds (https://docs.stripe.com/error-codes).
var refundAnswers = append(keyUndecided[:len(keyUndecided):len(keyUndecided)], []answerRule{
	{codes: []stripe.ErrorCode{stripe.ErrorCodeResourceMissing}, then: sameKey},
	{from: http.StatusNotFound, to: http.StatusNotFound, then: sameKey},
	// A wrong or restricted API key, which an operator corrects.
	{from: http.StatusUnauthorized, to: http.StatusUnauthorized, then: sameKey},
	{from: http.StatusForbidden, to: http.StatusForbidden, then: sameKey},
	{from: 500, to: 599, replayed: true, then: nextKey},
	{from: 500, to: 599, then: sameKey},
	// Another version of this program used other parameters.
	{from: http.StatusBadRequest, to: http.StatusBadRequest, kind: stripe.ErrorTypeIdempotency, then: nextKeyLater},
	// Temporary and stored by Stripe: too little balance, an open dispute.
	{codes: []stripe.ErrorCode{
		stripe.ErrorCodeBalanceInsufficient, stripe.ErrorCodeInsufficientFunds,
		stripe.ErrorCodeChargeDisputed, stripe.ErrorCodeRefundDisputedPayment,
	}, then: nextKey},
	{from: http.StatusPaymentRequired, to: http.StatusPaymentRequired, then: nextKey},
	{from: http.StatusBadRequest, to: http.StatusBadRequest, then: refused},
	{then: sameKey},
}...)

// checkoutAnswers are those to POST /v1/checkout/sessions. A session whose answer was
// lost has no customer, so the next key needs no search.
var checkoutAnswers = append(keyUndecided[:len(keyUndecided):len(keyUndecided)], []answerRule{
	{replayed: true, then: nextKey},
	{from: 500, to: 599, then: sameKey},
	{from: http.StatusBadRequest, to: http.StatusBadRequest, kind: stripe.ErrorTypeIdempotency, then: nextKey},
	// The stored end is too near by now, or the address is refused: the next attempt
	// changes them.
	{from: http.StatusBadRequest, to: http.StatusBadRequest, params: []string{paramExpiresAt, paramEmail},
		then: nextKey},
	// An amount below Stripe's minimum, an unknown currency, a wrong key.
	{from: 400, to: 499, then: refused},
	{then: sameKey},
}...)

// classify returns sameKey without an answer of Stripe's API (broken connection, timeout,
// a proxy's page) and after Retry-After.
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

// The library's global backend is shared by the whole program.
func newBackend(opts Options, transport http.RoundTripper) (stripe.Backend, error) {
	// The caller's client stays unchanged.
	client := *opts.HTTPClient
	client.Transport = transport
	config := &stripe.BackendConfig{
		HTTPClient: &client,
		// The library's log is unstructured; errors are logged in this package.
		LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		// One retry repairs a connection closed while idle. Further pauses would ignore
		// the context.
		MaxNetworkRetries: stripe.Int64(1),
		EnableTelemetry:   stripe.Bool(false),
	}
	if opts.BaseURL != "" {
		u, err := url.Parse(opts.BaseURL)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("payments: Options.BaseURL %q is not an absolute URL", opts.BaseURL)
		}
		config.URL = stripe.String(opts.BaseURL)
	}
	return redactingBackend{stripe.GetBackendWithConfig(stripe.APIBackend, config)}, nil
}
