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
	refundBatch = 20
	// refundLease, in seconds, is longer than one refund's calls take.
	refundLease = 120
	// keyMemory, in seconds: Stripe keeps a key for a day
	// (https://docs.stripe.com/api/idempotent_requests), less an hour for clocks and
	// calls.
	keyMemory = 23 * 3600
	// callEnds, in seconds, is longer than any call lasts.
	callEnds = 900
	// lostTries is how often a refund is tried that Stripe refuses because of a dispute
	// while a lost one is known and none is open: for about four hours, in which
	// DiscoverDisputes finds another.
	lostTries = 13
)

// next_try_at is the lease: the refund of a crashed process is taken up again.
const leaseRefundSQL = `
UPDATE booking_platform.refunds AS r SET
	next_try_at = statement_timestamp() + make_interval(secs => $1::int), tries = r.tries + 1,
	first_called_at = coalesce(r.first_called_at, statement_timestamp())
FROM booking_platform.payments p
WHERE p.id = r.payment_id AND r.id = (
	SELECT d.id FROM booking_platform.refunds d JOIN booking_platform.payments o ON o.id = d.payment_id
	WHERE d.status = 'due' AND NOT d.by_hand AND d.next_try_at <= statement_timestamp() AND o.disputes_open = 0
		AND o.account IN ('', $4::text)
	ORDER BY d.next_try_at LIMIT 1
	FOR UPDATE OF d SKIP LOCKED)
RETURNING r.id::text, r.payment_id::text, p.booking_id::text, r.amount_minor, r.currency, r.attempt, r.tries,
	coalesce(p.stripe_payment_intent_id, ''), coalesce(p.stripe_session_id, ''),
	r.first_called_at < statement_timestamp() - make_interval(secs => $2::int),
	r.first_called_at < statement_timestamp() - make_interval(secs => $3::int), p.captured_minor - p.dispute_lost_minor,
	p.dispute_lost_minor > 0, coalesce(p.parameters ->> 'transfer', '') = 'true',
	coalesce(p.parameters ->> 'fee', '') = 'true'`

type dueRefund struct {
	id, paymentID, bookingID string
	amount                   booking.Money
	attempt, tries           int
	intent, session          string
	// stale: Stripe may have forgotten the key. cold: its first call has ended.
	stale, cold bool
	// captured is what was paid and not lost to a dispute, in minor units.
	captured int64
	lost     bool
	// transfer: to a Connect destination. fee: an application fee.
	transfer, fee bool
}

// SettleRefunds is a step that makes due refunds at Stripe. Run it every few seconds. It
// returns how many it made, at most 20. With nothing to do it takes one transaction of
// one statement.
//
// Each refund is leased before the call, outside any transaction, so the step is safe on
// every replica. The idempotency key is derived from the row: a repeat after a crash or a
// lost answer finds the same refund. If the key may be forgotten or is used up, the
// refund is searched at Stripe by its metadata before a new key is used.
//
// A refund that Stripe refuses for good becomes RefundFailed, see
// [Payments.RefundsNeedingAttention]; so does, after about four hours, one that Stripe
// refuses because of a dispute although a lost one is known. Other failures are retried
// with a pause that grows to an hour, or after Stripe's Retry-After, which pauses all
// steps of this process. The step continues after a failure and returns the failures
// joined.
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
			&d.amount.Currency, &d.attempt, &d.tries, &d.intent, &d.session, &d.stale, &d.cold, &d.captured, &d.lost,
			&d.transfer, &d.fee)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return dueRefund{}, false, nil
	}
	return d, err == nil, err
}

// settleRefund calls Stripe, records the answer, and reports whether the refund was made.
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

// refusedRefund: others are the payment's refunds at Stripe, left is what can still be
// refunded.
type refusedRefund struct {
	others []stripeRefund
	left   int64
	err    error
}

func (r *refusedRefund) Error() string { return r.err.Error() }

func (r *refusedRefund) Unwrap() error { return r.err }

// makeRefund also finds the refund at Stripe.
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
	if d.transfer {
		// Else the platform pays what the connected account keeps
		// (https://docs.stripe.com/connect/destination-charges).
		params.ReverseTransfer = stripe.Bool(true)
	}
	if d.fee {
		params.RefundApplicationFee = stripe.Bool(true)
	}
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
	// The refund may exist all the same: a stored failure does not exclude it, and it may
	// itself be why too little is left.
	all, made, lookErr := p.findRefund(ctx, *d)
	switch {
	case lookErr != nil:
		return nil, lookErr
	case made:
		return all, nil
	case then == refused && !(d.left(all) >= d.amount.Minor && refusesAmount(err)):
		return nil, &refusedRefund{others: all, left: d.left(all), err: err}
	case d.lost && d.tries >= lostTries && refusesDisputed(err):
		return nil, &refusedRefund{others: all, left: d.amount.Minor, err: err}
	case then == nextKeyLater && !d.cold:
		return nil, err
	}
	return nil, errors.Join(err, p.advanceKey(ctx, d))
}

// The answer is recorded even if ctx has ended.
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

// lowerRefund lowers a refund to what another in the dashboard has left. Its key made
// nothing; the new amount gets a new one.
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
			// RefreshRefunds decides what the other refunds mean for the booking.
			_, err := tx.ExecContext(ctx, unknownSQL, d.paymentID)
			return err
		})
	})
}

const refusedSQL = `
UPDATE booking_platform.refunds AS r SET status = 'failed', failure = $2::text, last_error = '',
	updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due' AND r.attempt = $3::int`

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
			_, err := tx.ExecContext(ctx, unknownSQL, d.paymentID)
			return err
		})
	})
}

const postponeSQL = `
UPDATE booking_platform.refunds AS r SET last_error = $2::text,
	next_try_at = statement_timestamp() + make_interval(secs => $3::int)
WHERE r.id = $1::uuid AND r.status = 'due'`

// postpone pauses for five seconds, doubling up to an hour.
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

// findIntent reads the PaymentIntent from Stripe if no event named it.
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

// refundsAtStripe: an empty list counts only if Stripe knows the PaymentIntent; a key of
// another account or mode does not.
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

// findRefund reports whether this refund is among the payment's at Stripe.
func (p *Payments) findRefund(ctx context.Context, d dueRefund) (all []stripeRefund, made bool, err error) {
	all, err = p.refundsAtStripe(ctx, d.intent)
	for _, t := range all {
		made = made || t.ours == d.id
	}
	return all, made, err
}

// left is what Stripe can still refund of the payment.
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

// advanceKey follows a key that made nothing.
func (p *Payments) advanceKey(ctx context.Context, d *dueRefund) error {
	err := p.inTxRetry(ctx, "move a refund to the next key", func(q *sql.Tx) error {
		result, err := q.ExecContext(ctx, nextKeySQL, d.id, d.attempt)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return errors.New("changed by another caller")
	})
	if err == nil {
		d.attempt++
	}
	return err
}

// refusesAmount: Stripe says that too little is left. If its list disagrees, the list may
// lag and lack this refund.
func refusesAmount(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) && (se.Param == "amount" || se.Code == stripe.ErrorCodeChargeAlreadyRefunded ||
		se.Code == stripe.ErrorCodeAmountTooLarge)
}

// refusesDisputed: Stripe refunds nothing because of a dispute, also after a lost one
// (https://docs.stripe.com/error-codes, charge_disputed).
func refusesDisputed(err error) bool {
	var se *stripe.Error
	return errors.As(err, &se) &&
		(se.Code == stripe.ErrorCodeChargeDisputed || se.Code == stripe.ErrorCodeRefundDisputedPayment)
}

// refusalCode leaves out Stripe's message, which can quote parameters.
func refusalCode(err error) string {
	var se *stripe.Error
	switch {
	case !errors.As(err, &se):
		return "no answer from Stripe"
	case se.Code != "":
		return string(se.Code)
	case se.Type != "":
		return string(se.Type)
	}
	return "status " + strconv.Itoa(se.HTTPStatusCode)
}
