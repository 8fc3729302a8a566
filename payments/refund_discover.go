package payments

import (
	"context"
	"database/sql"
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

const leaseUnknownSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
WHERE p.id = (
	SELECT o.id FROM booking_platform.payments o
	WHERE o.refunds_unknown > 0 AND o.account IN ('', $2::text) AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	ORDER BY o.id LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING p.id::text, p.booking_id::text, coalesce(p.stripe_payment_intent_id, ''), coalesce(p.stripe_session_id, ''), p.refunds_unknown`

// What was heard of since Stripe was asked is asked about once more.
const knownSQL = `
UPDATE booking_platform.payments AS p
SET refunds_unknown = CASE WHEN p.refunds_unknown = $2::int THEN 0 ELSE p.refunds_unknown END, leased_until = NULL
WHERE p.id = $1::uuid`

const unknownSQL = `UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1 WHERE p.id = $1::uuid`

// LookUpRefunds is one step: it asks Stripe for the refunds of payments of which
// something is known to have gone back and not by which refund, and records them. Run it
// every few seconds. It returns how many payments it asked about, 20 at most; nothing to
// do is one round trip that reads one small index.
//
// Each payment is leased in the database before the call, so the step is safe on every
// replica at once, and no transaction is open while Stripe is asked. It goes on after one
// that failed, which is asked about again after two minutes, and returns what failed; it
// ends with ctx.
func (p *Payments) LookUpRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	asked := 0
	var failures []error
	for range refundBatch {
		if p.quiet() {
			break
		}
		var d dueRefund
		var heard int
		err := p.alone(ctx, "lease a payment to look up", func(q booking.Querier) error {
			return q.QueryRowContext(ctx, leaseUnknownSQL, refundLease, p.account).Scan(&d.paymentID, &d.bookingID,
				&d.intent, &d.session, &heard)
		})
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err == nil {
			if err = p.lookUpRefunds(ctx, d, heard); err == nil {
				asked++
			}
		}
		if err != nil {
			failures = append(failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return asked, errors.Join(failures...)
}

func (p *Payments) lookUpRefunds(ctx context.Context, d dueRefund, heard int) error {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	var all []told
	err := p.findIntent(callCtx, &d)
	if err == nil {
		all, err = p.refundsAtStripe(callCtx, d.intent)
	}
	if err != nil && !p.gone(err) {
		return p.unavailable(ctx, "list the refunds", d.paymentID, err)
	}
	return p.inTx(ctx, "record refunds", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.Lock(ctx, d.bookingID)
		if err != nil {
			return err
		}
		return p.watch(ctx, tx, b.ID, func() error {
			if err := note(ctx, tx, d.paymentID, all...); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, knownSQL, d.paymentID, heard); err != nil {
				return err
			}
			return p.settleBooking(ctx, tx, bookings, d.paymentID, b.ID)
		})
	})
}
