package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

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
