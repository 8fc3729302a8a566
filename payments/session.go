package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v76"
)

// storeLimit is what the storing of Stripe's answer has at least. It may go beyond the
// limit of the whole, which the call may have used up.
const storeLimit = time.Second

// maxAttempts bounds how many keys one Checkout goes through.
const maxAttempts = 3

// createSession calls Stripe, outside any transaction, and stores what it answered.
func (p *Payments) createSession(ctx context.Context, pay Payment) (Payment, error) {
	for n := 1; ; n++ {
		s, err := p.newSession(ctx, pay)
		if err == nil {
			return p.storeSession(ctx, pay, s)
		}
		then := judge(checkoutAnswers, err)
		if then == refused {
			return Payment{}, p.refusedBy(ctx, "create the Checkout Session", pay.ID, err)
		}
		failure := p.unavailable(ctx, "create the Checkout Session", pay.ID, err)
		if then != nextKey || n == maxAttempts || ctx.Err() != nil {
			return Payment{}, failure
		}
		if pay, err = p.nextAttempt(ctx, pay, err); err != nil {
			return Payment{}, err
		}
	}
}

// newSession asks Stripe, and asks again while another caller's call under the same key,
// on whichever replica, is under way there: once that is answered, Stripe answers us the
// same, even if the other caller has died meanwhile.
func (p *Payments) newSession(ctx context.Context, pay Payment) (*stripe.CheckoutSession, error) {
	params, err := pay.sessionParams()
	if err != nil {
		return nil, err
	}
	params.Context = ctx
	for {
		s, err := p.sessions.New(params)
		if err == nil && (s.ID == "" || s.URL == "") {
			return nil, errors.New("what answered is not Stripe's API: no id or no URL")
		}
		if !inUse(err) {
			return s, err
		}
		pause := max(250*time.Millisecond, RetryAfter(err))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// The event of a session may have come first and have named it already. One whose payment
// was given up meanwhile is not stored.
const storeSessionSQL = `
UPDATE booking_platform.payments AS p
SET stripe_session_id = $2, checkout_url = $3, updated_at = statement_timestamp()
WHERE p.id = $1::uuid AND (p.stripe_session_id IS NULL OR p.stripe_session_id = $2) AND NOT p.failed AND NOT p.expired
RETURNING ` + paymentColumns

// storeSession stores the session's id and URL, even when the customer has just gone
// away.
func (p *Payments) storeSession(ctx context.Context, pay Payment, s *stripe.CheckoutSession) (Payment, error) {
	limit := storeLimit
	if end, ok := ctx.Deadline(); ok {
		limit = max(limit, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	stored, err := p.queryPayment(ctx, "store the Checkout Session", storeSessionSQL, pay.ID, s.ID, s.URL)
	if errors.Is(err, sql.ErrNoRows) {
		// Nobody is told this session's URL, so nobody pays there, and it ends by itself.
		return Payment{}, fmt.Errorf("payments: the Checkout was given up meanwhile: %w", ErrUnavailable)
	}
	return stored, err
}
