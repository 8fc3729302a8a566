package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stripe/stripe-go/v76"
)

const (
	paramExpiresAt = "expires_at"
	paramEmail     = "customer_email"
)

// The session's end is counted anew, with the key.
const nextAttemptSQL = `
UPDATE booking_platform.payments AS p
SET attempt = p.attempt + 1, parameters = $3::json, updated_at = statement_timestamp(),
	session_expires_at = GREATEST(p.session_expires_at, statement_timestamp() + interval '31 minutes')
WHERE p.id = $1::uuid AND p.attempt = $2::int AND p.stripe_session_id IS NULL AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// nextAttempt freezes another key, and parameters without what Stripe has refused.
func (p *Payments) nextAttempt(ctx context.Context, pay Payment, refusal error) (Payment, error) {
	parameters, err := pay.parametersAfter(refusal)
	if err != nil {
		return Payment{}, err
	}
	next, err := p.queryPayment(ctx, "move to the next attempt", nextAttemptSQL, pay.ID, pay.attempt, parameters)
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, fmt.Errorf("payments: another caller was faster: %w", ErrUnavailable)
	}
	return next, err
}

// parametersAfter leaves out an address that Stripe does not take: its page asks the
// customer for one.
func (p Payment) parametersAfter(refusal error) (string, error) {
	var se *stripe.Error
	if !errors.As(refusal, &se) || se.Param != paramEmail {
		return p.parameters, nil
	}
	frozen, err := p.frozen()
	if err != nil {
		return "", err
	}
	frozen.Email = ""
	text, err := json.Marshal(frozen)
	return string(text), err
}
