package payments

import (
	"errors"
	"net/http"
	"slices"

	"github.com/stripe/stripe-go/v76"
)

// next is what follows from an answer of Stripe's to a call that makes something under an
// idempotency key.
type next int

const (
	// sameKey: the call may be under way or done, or Stripe has not looked at it. It is
	// made again later with the same key, so that at most one object comes of all
	// repeats.
	sameKey next = iota
	// nextKey: this key brings nothing any more. The call is made again with the next
	// key; a refund is looked for at Stripe first.
	nextKey
	// nextKeyLater is nextKey where a call with other parameters may still be under way:
	// the key is kept until that must have ended.
	nextKeyLater
	// refused: Stripe will answer the same again. A person has to decide.
	refused
)

// answer is a row of a table of answers. The first row that fits counts; zero fields fit
// all.
type answer struct {
	from, to int // HTTP status
	codes    []stripe.ErrorCode
	kind     stripe.ErrorType
	params   []string
	// replayed fits only an answer that Stripe has stored under the key and repeats.
	replayed bool
	then     next
}

// beforeExecution are the answers that say nothing of what becomes of the key. The type
// of a 409 is not asked: sources differ on it. 404 comes of a key of another account or
// mode too.
var beforeExecution = []answer{
	{codes: []stripe.ErrorCode{stripe.ErrorCodeIdempotencyKeyInUse, stripe.ErrorCodeLockTimeout,
		stripe.ErrorCodeRateLimit}, then: sameKey},
	{from: http.StatusRequestTimeout, to: http.StatusRequestTimeout, then: sameKey},
	{from: http.StatusConflict, to: http.StatusConflict, then: sameKey},
	{from: http.StatusTooManyRequests, to: http.StatusTooManyRequests, then: sameKey},
}

// refundAnswers are the answers to POST /v1/refunds
// (https://docs.stripe.com/error-codes).
var refundAnswers = append(beforeExecution[:len(beforeExecution):len(beforeExecution)], []answer{
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
var checkoutAnswers = append(beforeExecution[:len(beforeExecution):len(beforeExecution)], []answer{
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

// judge finds what follows from an error. Without an answer of Stripe's API (a broken
// connection, a time limit, a proxy's page) it is sameKey, and so it is while Stripe asks
// for a pause.
func judge(table []answer, err error) next {
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

func (a answer) fits(se *stripe.Error) bool {
	replayed := se.LastResponse != nil && se.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	return (a.to == 0 || se.HTTPStatusCode >= a.from && se.HTTPStatusCode <= a.to) &&
		(a.kind == "" || se.Type == a.kind) && (!a.replayed || replayed) &&
		(a.codes == nil || slices.Contains(a.codes, se.Code)) &&
		(a.params == nil || slices.Contains(a.params, se.Param))
}
