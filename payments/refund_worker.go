package payments

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
)

const (
	// refundBatch is how many refunds one run of the step takes at most.
	refundBatch = 20
	// refundLease, in seconds, is for how long a refund is left to whoever took it:
	// longer than its calls to Stripe take.
	refundLease = 120
	// keyMemory, in seconds, is how long a key is relied on: Stripe keeps it for a day at
	// least (https://docs.stripe.com/api/idempotent_requests), and an hour of that is
	// left for clocks and calls under way.
	keyMemory = 23 * 3600
	// callEnds, in seconds, is after how long a call at Stripe has ended, whatever came
	// of it.
	callEnds = 900
)

// The lease is the time of the next try: whoever dies leaves the refund to the next one.
const leaseRefundSQL = `
UPDATE booking_platform.refunds AS r SET
	next_try_at = statement_timestamp() + make_interval(secs => $1::int), tries = r.tries + 1,
	first_called_at = coalesce(r.first_called_at, statement_timestamp())
FROM booking_platform.payments p
WHERE p.id = r.payment_id AND r.id = (
	SELECT d.id FROM booking_platform.refunds d JOIN booking_platform.payments o ON o.id = d.payment_id
	WHERE d.status = 'due' AND d.next_try_at <= statement_timestamp() AND o.disputes_open = 0 AND o.account IN ('', $4::text)
	ORDER BY d.next_try_at LIMIT 1
	FOR UPDATE OF d SKIP LOCKED)
RETURNING r.id::text, r.payment_id::text, p.booking_id::text, r.amount_minor, r.currency, r.attempt, r.tries,
	coalesce(p.stripe_payment_intent_id, ''), coalesce(p.stripe_session_id, ''),
	r.first_called_at < statement_timestamp() - make_interval(secs => $2::int),
	r.first_called_at < statement_timestamp() - make_interval(secs => $3::int), p.captured_minor - p.dispute_lost_minor,
	p.dispute_lost_minor > 0`

// dueRefund is a refund that this replica is to make.
type dueRefund struct {
	id, paymentID, bookingID string
	amount                   booking.Money
	attempt, tries           int
	intent, session          string
	// stale tells that its key may have been forgotten, cold that a call which was made
	// with it first has ended.
	stale, cold bool
	// captured is what was paid and not lost to a dispute, in minor units.
	captured int64
	// lost tells that a dispute took some of its payment.
	lost bool
}

// SettleRefunds is one step: it has Stripe make the refunds that are due. Run it every
// few seconds. It returns how many it made, 20 at most; nothing to do is one round trip
// that reads one small index.
//
// Each refund is leased in the database before the call, so the step is safe on every
// replica at once, and no transaction is open while Stripe is asked. The idempotency key
// is made from the row: a repeat, after a crash or a lost answer, finds the refund that
// was made. Before a key is used that Stripe may have forgotten, or that is spent, the
// refund is looked for at Stripe by its metadata.
//
// What Stripe refuses for good is failed, with Stripe's word for it, and stays visible
// ([Payments.RefundsNeedingAttention]). What failed on the way is tried again, later each time,
// up to an hour, or as Stripe's Retry-After says, for which this process does not ask for
// any other either. The step goes on after one that failed, and returns what failed; it
// ends with ctx.
func (p *Payments) SettleRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	made := 0
	var failures []error
	for range refundBatch {
		if p.paused() {
			break
		}
		d, found, err := p.leaseRefund(ctx)
		if err != nil {
			failures = append(failures, err)
			break
		}
		if !found {
			break
		}
		ok, err := p.settleRefund(ctx, d)
		if err != nil {
			failures = append(failures, err)
		}
		if ok {
			made++
		}
		if ctx.Err() != nil {
			break
		}
	}
	return made, errors.Join(failures...)
}

func (p *Payments) leaseRefund(ctx context.Context) (dueRefund, bool, error) {
	var d dueRefund
	err := p.inTxRetry(ctx, "lease a refund", func(q *sql.Tx) error {
		return q.QueryRowContext(ctx, leaseRefundSQL, refundLease, keyMemory, callEnds, p.account).Scan(&d.id,
			&d.paymentID, &d.bookingID, &d.amount.Minor,
			&d.amount.Currency, &d.attempt, &d.tries, &d.intent, &d.session, &d.stale, &d.cold, &d.captured, &d.lost)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return dueRefund{}, false, nil
	}
	return d, err == nil, err
}

// settleRefund asks Stripe, then records the answer; true when the refund exists there.
func (p *Payments) settleRefund(ctx context.Context, d dueRefund) (bool, error) {
	if d.lost {
		if goOn, err := p.lowerByLoss(ctx, &d); err != nil {
			return false, errors.Join(p.unavailable(ctx, "find the refund", d.paymentID, err), p.postpone(ctx, d, err))
		} else if !goOn {
			return false, nil
		}
	}
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	made, err := p.makeRefund(callCtx, &d)
	var final *refusedRefund
	switch {
	case err == nil:
		err = p.recordAfterCall(ctx, d, made)
		return err == nil, err
	case errors.As(err, &final) && final.left > 0 && final.left < d.amount.Minor:
		return false, p.lowerRefund(ctx, d, final)
	case errors.As(err, &final):
		return false, p.failRefund(ctx, d, final)
	}
	return false, errors.Join(p.unavailable(ctx, "make the refund", d.paymentID, err), p.postpone(ctx, d, err))
}

// refusedRefund is a refund that Stripe will not make as it is. others are the refunds of
// the payment at Stripe, and left is what can still be given back.
type refusedRefund struct {
	others []stripeRefund
	left   int64
	err    error
}

func (r *refusedRefund) Error() string { return r.err.Error() }

func (r *refusedRefund) Unwrap() error { return r.err }

// makeRefund makes it, or finds it made.
func (p *Payments) makeRefund(ctx context.Context, d *dueRefund) ([]stripeRefund, error) {
	if err := p.findIntent(ctx, d); p.gone(err) {
		return nil, &refusedRefund{left: d.amount.Minor, err: err}
	} else if err != nil {
		return nil, err
	}
	if d.stale {
		if all, made, err := p.findRefund(ctx, *d); err != nil || made {
			return all, err
		}
		if err := p.advanceKey(ctx, d); err != nil {
			return nil, err
		}
	}
	params := &stripe.RefundParams{PaymentIntent: stripe.String(d.intent), Amount: stripe.Int64(d.amount.Minor)}
	params.Context = ctx
	params.Metadata = map[string]string{"refund_id": d.id, "payment_id": d.paymentID, "booking_id": d.bookingID}
	params.SetIdempotencyKey("refund-" + d.id + "-" + strconv.Itoa(d.attempt))
	r, err := p.refundCalls.New(params)
	if err == nil {
		t, err := parseRefund(r)
		return []stripeRefund{t}, err
	}
	then := classify(refundAnswers, err)
	if p.gone(err) {
		return nil, &refusedRefund{left: d.amount.Minor, err: err}
	}
	if then == sameKey {
		return nil, err
	}
	// It may have been made all the same: a failure that Stripe has stored says nothing
	// of that, and one that is refused because too little is left may be what took it.
	all, made, lookErr := p.findRefund(ctx, *d)
	switch {
	case lookErr != nil:
		return nil, lookErr
	case made:
		return all, nil
	case then == refused && !(d.left(all) >= d.amount.Minor && refusesAmount(err)):
		return nil, &refusedRefund{others: all, left: d.left(all), err: err}
	case then == nextKeyLater && !d.cold:
		return nil, err
	}
	return nil, errors.Join(err, p.advanceKey(ctx, d))
}

// recordAfterCall records what Stripe has answered even where the caller has just gone.
func (p *Payments) recordAfterCall(ctx context.Context, d dueRefund, made []stripeRefund) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(storeLimit, p.opts.Timeout))
	defer cancel()
	return p.inTx(ctx, "record a refund", func(tx *sql.Tx) error {
		return p.observe(ctx, tx, d.bookingID, func() error { return recordRefunds(ctx, tx, d.paymentID, made...) })
	})
}

const lowerRefundSQL = `
UPDATE booking_platform.refunds AS r SET amount_minor = $3::bigint, attempt = r.attempt + 1, first_called_at = NULL,
	next_try_at = statement_timestamp(), last_error = $4::text, updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.attempt = $2::int AND r.status = 'due'`

// lowerRefund lowers a refund to what is left at Stripe, where some of the payment was given
// back in the dashboard meanwhile. Stripe has refused the call, so that nothing comes of
// its key; the next call has another amount and so another key.
func (p *Payments) lowerRefund(ctx context.Context, d dueRefund, r *refusedRefund) error {
	p.log.LogAttrs(ctx, slog.LevelWarn, "refund lowered to what is left", slog.String("refund_id", d.id),
		slog.String("payment_id", d.paymentID),
		slog.String("booking_id", d.bookingID), slog.Int64("from_minor", d.amount.Minor),
		slog.Int64("to_minor", r.left))
	return p.inTx(ctx, "lower a refund", func(tx *sql.Tx) error {
		return p.observe(ctx, tx, d.bookingID, func() error {
			if err := lockPayment(ctx, tx, d.paymentID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, lowerRefundSQL, d.id, d.attempt, r.left, refusalCode(r)); err != nil {
				return err
			}
			if err := recordRefunds(ctx, tx, d.paymentID, r.others...); err != nil {
				return err
			}
			// Others gave it back: what that means for the booking is decided by
			// RefreshRefunds.
			_, err := tx.ExecContext(ctx, unknownSQL, d.paymentID)
			return err
		})
	})
}

const refusedSQL = `
UPDATE booking_platform.refunds AS r SET status = 'failed', failure = $2::text, last_error = '', updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due' AND r.attempt = $3::int`

// failRefund gives up a refund that Stripe will never make: its amount can be given
// back another way.
func (p *Payments) failRefund(ctx context.Context, d dueRefund, r *refusedRefund) error {
	code := refusalCode(r)
	p.log.LogAttrs(ctx, slog.LevelError, "stripe refused a refund", slog.String("refund_id", d.id),
		slog.String("payment_id", d.paymentID),
		slog.String("booking_id", d.bookingID), slog.String("stripe_code", code))
	return p.inTx(ctx, "record a refused refund", func(tx *sql.Tx) error {
		return p.observe(ctx, tx, d.bookingID, func() error {
			if err := lockPayment(ctx, tx, d.paymentID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, refusedSQL, d.id, code, d.attempt); err != nil {
				return err
			}
			if err := recordRefunds(ctx, tx, d.paymentID); err != nil {
				return err
			}
			// What others gave back is recorded by RefreshRefunds.
			_, err := tx.ExecContext(ctx, unknownSQL, d.paymentID)
			return err
		})
	})
}

const postponeSQL = `
UPDATE booking_platform.refunds AS r SET last_error = $2::text, next_try_at = statement_timestamp() + make_interval(secs => $3::int)
WHERE r.id = $1::uuid AND r.status = 'due'`

// postpone leaves a refund for later: five seconds after the first try, then twice as
// long each time, up to an hour.
func (p *Payments) postpone(ctx context.Context, d dueRefund, cause error) error {
	pause := time.Hour
	if d.tries < 10 {
		pause = min(pause, 5*time.Second<<max(0, d.tries-1))
	}
	pause = max(pause, RetryAfter(cause))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	return p.inTxRetry(ctx, "postpone a refund", func(q *sql.Tx) error {
		_, err := q.ExecContext(ctx, postponeSQL, d.id, refusalCode(cause), int(pause/time.Second))
		return err
	})
}

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
func (p *Payments) refundsAtStripe(ctx context.Context, intent string) ([]stripeRefund, error) {
	params := &stripe.RefundListParams{PaymentIntent: stripe.String(intent)}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	var out []stripeRefund
	list := p.refundCalls.List(params)
	for list.Next() {
		t, err := parseRefund(list.Refund())
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
func (p *Payments) findRefund(ctx context.Context, d dueRefund) (all []stripeRefund, made bool, err error) {
	all, err = p.refundsAtStripe(ctx, d.intent)
	for _, t := range all {
		made = made || t.ours == d.id
	}
	return all, made, err
}

// left is what Stripe can still give back of the payment, by the refunds that it lists.
func (d dueRefund) left(all []stripeRefund) int64 {
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
func (p *Payments) advanceKey(ctx context.Context, d *dueRefund) error {
	err := p.inTxRetry(ctx, "move a refund to the next key", func(q *sql.Tx) error {
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
