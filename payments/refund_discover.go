package payments

import (
	"context"
	"errors"
	"strconv"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

// findIntent asks Stripe which PaymentIntent the session made, where no event has said
// so.
func (p *Payments) findIntent(ctx context.Context, d *dueRefund) error {
	if d.intent != "" {
		return nil
	}
	params := &stripe.CheckoutSessionParams{}
	params.Context = ctx
	s, err := p.sessions.Get(d.session, params)
	if err != nil {
		return err
	}
	if s.PaymentIntent == nil || s.PaymentIntent.ID == "" {
		return errors.New("the session has no PaymentIntent")
	}
	d.intent = s.PaymentIntent.ID
	return nil
}

// refundsAtStripe lists the refunds of a PaymentIntent, all of them: there are few. None
// says something only where Stripe knows the PaymentIntent: with a key of another account
// or mode the answer is an error.
func (p *Payments) refundsAtStripe(ctx context.Context, intent string) ([]told, error) {
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(intent)}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	var out []told
	list := p.refundCalls.List(params)
	for list.Next() {
		t, err := toldBy(list.Refund())
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	if err := list.Err(); err != nil || len(out) > 0 {
		return out, err
	}
	known := &stripe.PaymentIntentParams{}
	known.Context = ctx
	_, err := p.intents.Get(intent, known)
	return nil, err
}

// findRefund looks for our refund at Stripe by its metadata. It returns all refunds of
// the payment, and whether ours is one of them.
func (p *Payments) findRefund(ctx context.Context, d dueRefund) (all []told, made bool, err error) {
	all, err = p.refundsAtStripe(ctx, d.intent)
	for _, t := range all {
		made = made || t.ours == d.id
	}
	return all, made, err
}

// left is what Stripe can still give back of the payment, by the refunds that it lists.
func (d dueRefund) left(all []told) int64 {
	left := d.captured
	for _, t := range all {
		if t.status == RefundPending || t.status == RefundSucceeded {
			left -= t.amount.Minor
		}
	}
	return max(0, left)
}

const nextKeySQL = `
UPDATE booking_platform.refunds AS r SET attempt = r.attempt + 1, first_called_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.attempt = $2::int AND r.status = 'due'`

// nextKey moves a refund to another key, once it is known that none was made under the
// one before.
func (p *Payments) nextKey(ctx context.Context, d *dueRefund) error {
	err := p.alone(ctx, "move a refund to the next key", func(q booking.Querier) error {
		result, err := q.ExecContext(ctx, nextKeySQL, d.id, d.attempt)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return errors.New("another caller was faster")
	})
	if err == nil {
		d.attempt++
	}
	return err
}

// refusesAmount tells whether Stripe says that less is left than was asked for. Where its
// list of refunds says otherwise, the list is behind, and ours may be what is missing in
// it.
func refusesAmount(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && (se.Param == "amount" || se.Code == stripe.ErrorCodeChargeAlreadyRefunded ||
		se.Code == stripe.ErrorCodeAmountTooLarge)
}

// refusalCode is Stripe's word for what happened. Its message is left out: it can quote
// parameters.
func refusalCode(err error) string {
	var se *stripe.Error
	switch {
	case !errors.As(err, &se):
		return "no answer of Stripe's"
	case se.Code != "":
		return string(se.Code)
	case se.Type != "":
		return string(se.Type)
	}
	return "status " + strconv.Itoa(se.HTTPStatusCode)
}
