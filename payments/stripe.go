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

const nextAttemptSQL = `
UPDATE booking_platform.payments AS p SET attempt = p.attempt + 1, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND p.attempt = $2::int AND p.stripe_session_id IS NULL`

// retireKey moves on to the next key when Stripe has stored a failure of its own under this one, which it would replay for a
// day (https://docs.stripe.com/api/idempotent_requests). A failure that is not a replay keeps the key: the call may
// have succeeded, and the repeat must find that out.
func (p *Payments) retireKey(ctx context.Context, pay Payment, err error) {
	var se *stripe.Error
	if !errors.As(err, &se) || se.HTTPStatusCode < 500 || se.LastResponse == nil ||
		se.LastResponse.Header.Get("Idempotent-Replayed") != "true" {
		return
	}
	if _, err := p.db.ExecContext(ctx, nextAttemptSQL, pay.ID, pay.attempt); err != nil {
		p.log.LogAttrs(ctx, slog.LevelError, "payments: could not move to the next attempt",
			slog.String("payment_id", pay.ID), slog.String("error", err.Error()))
	}
}

// unavailable logs what Stripe said, without its message, which can quote parameters, and wraps it for the caller.
func (p *Payments) unavailable(ctx context.Context, what, paymentID string, err error) error {
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
