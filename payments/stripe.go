package payments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/stripe/stripe-go/v76"
)

// inUse tells whether another call under the same idempotency key is still under way at Stripe.
func inUse(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && se.HTTPStatusCode == http.StatusConflict
}

// unavailable logs what Stripe said, without its message, which can quote parameters, and wraps it for the caller. A caller who has gone says
// nothing about Stripe.
func (p *Payments) unavailable(ctx context.Context, what, paymentID string, err error) error {
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
		// An HTML answer of a proxy, a refused or broken connection, the time limit: not an error of Stripe's API.
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	p.log.LogAttrs(ctx, slog.LevelError, "stripe: could not "+what, attrs...)
	return fmt.Errorf("payments: %s: %w: %w", what, ErrUnavailable, err)
}
