package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
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
// ([Payments.TroubledRefunds]). What failed on the way is tried again, later each time,
// up to an hour, or as Stripe's Retry-After says, for which this process does not ask for
// any other either. The step goes on after one that failed, and returns what failed; it
// ends with ctx.
func (p *Payments) SettleRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	made := 0
	var failures []error
	for range refundBatch {
		if p.quiet() {
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
	err := p.alone(ctx, "lease a refund", func(q booking.Querier) error {
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
		if goOn, err := p.afterLoss(ctx, &d); err != nil {
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
		err = p.noteAfterCall(ctx, d, made)
		return err == nil, err
	case errors.As(err, &final) && final.left > 0 && final.left < d.amount.Minor:
		return false, p.takeRest(ctx, d, final)
	case errors.As(err, &final):
		return false, p.refundRefused(ctx, d, final)
	}
	return false, errors.Join(p.unavailable(ctx, "make the refund", d.paymentID, err), p.postpone(ctx, d, err))
}

// refusedRefund is a refund that Stripe will not make as it is. others are the refunds of
// the payment at Stripe, and left is what can still be given back.
type refusedRefund struct {
	others []told
	left   int64
	err    error
}

func (r *refusedRefund) Error() string { return r.err.Error() }

func (r *refusedRefund) Unwrap() error { return r.err }

// makeRefund makes it, or finds it made.
func (p *Payments) makeRefund(ctx context.Context, d *dueRefund) ([]told, error) {
	if err := p.findIntent(ctx, d); p.gone(err) {
		return nil, &refusedRefund{left: d.amount.Minor, err: err}
	} else if err != nil {
		return nil, err
	}
	if d.stale {
		if all, made, err := p.findRefund(ctx, *d); err != nil || made {
			return all, err
		}
		if err := p.nextKey(ctx, d); err != nil {
			return nil, err
		}
	}
	params := &stripe.RefundParams{PaymentIntent: stripe.String(d.intent), Amount: stripe.Int64(d.amount.Minor)}
	params.Context = ctx
	params.Metadata = map[string]string{"refund_id": d.id, "payment_id": d.paymentID, "booking_id": d.bookingID}
	params.SetIdempotencyKey("refund-" + d.id + "-" + strconv.Itoa(d.attempt))
	r, err := p.refundCalls.New(params)
	if err == nil {
		t, err := toldBy(r)
		return []told{t}, err
	}
	then := judge(refundAnswers, err)
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
	return nil, errors.Join(err, p.nextKey(ctx, d))
}

// noteAfterCall records what Stripe has answered even where the caller has just gone.
func (p *Payments) noteAfterCall(ctx context.Context, d dueRefund, made []told) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(storeLimit, p.opts.Timeout))
	defer cancel()
	return p.inTx(ctx, "record a refund", func(tx *sql.Tx) error {
		return p.watch(ctx, tx, d.bookingID, func() error { return note(ctx, tx, d.paymentID, made...) })
	})
}

const restSQL = `
UPDATE booking_platform.refunds AS r SET amount_minor = $3::bigint, attempt = r.attempt + 1, first_called_at = NULL,
	next_try_at = statement_timestamp(), last_error = $4::text, updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.attempt = $2::int AND r.status = 'due'`

// takeRest lowers a refund to what is left at Stripe, where some of the payment was given
// back in the dashboard meanwhile. Stripe has refused the call, so that nothing comes of
// its key; the next call has another amount and so another key.
func (p *Payments) takeRest(ctx context.Context, d dueRefund, r *refusedRefund) error {
	p.log.LogAttrs(ctx, slog.LevelWarn, "refund lowered to what is left", slog.String("refund_id", d.id),
		slog.String("payment_id", d.paymentID),
		slog.String("booking_id", d.bookingID), slog.Int64("from_minor", d.amount.Minor),
		slog.Int64("to_minor", r.left))
	return p.inTx(ctx, "lower a refund", func(tx *sql.Tx) error {
		return p.watch(ctx, tx, d.bookingID, func() error {
			if err := lockPayment(ctx, tx, d.paymentID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, restSQL, d.id, d.attempt, r.left, refusalCode(r)); err != nil {
				return err
			}
			if err := note(ctx, tx, d.paymentID, r.others...); err != nil {
				return err
			}
			// Others gave it back: what that means for the booking is decided by
			// LookUpRefunds.
			_, err := tx.ExecContext(ctx, unknownSQL, d.paymentID)
			return err
		})
	})
}

const refusedSQL = `
UPDATE booking_platform.refunds AS r SET status = 'failed', failure = $2::text, last_error = '', updated_at = statement_timestamp()
WHERE r.id = $1::uuid AND r.status = 'due' AND r.attempt = $3::int`

// refundRefused gives up a refund that Stripe will never make: its amount can be given
// back another way.
func (p *Payments) refundRefused(ctx context.Context, d dueRefund, r *refusedRefund) error {
	code := refusalCode(r)
	p.log.LogAttrs(ctx, slog.LevelError, "stripe refused a refund", slog.String("refund_id", d.id),
		slog.String("payment_id", d.paymentID),
		slog.String("booking_id", d.bookingID), slog.String("stripe_code", code))
	return p.inTx(ctx, "record a refused refund", func(tx *sql.Tx) error {
		return p.watch(ctx, tx, d.bookingID, func() error {
			if err := lockPayment(ctx, tx, d.paymentID); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, refusedSQL, d.id, code, d.attempt); err != nil {
				return err
			}
			if err := note(ctx, tx, d.paymentID); err != nil {
				return err
			}
			// What others gave back is recorded by LookUpRefunds.
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
	return p.alone(ctx, "postpone a refund", func(q booking.Querier) error {
		_, err := q.ExecContext(ctx, postponeSQL, d.id, refusalCode(cause), int(pause/time.Second))
		return err
	})
}

const (
	// refundPages is how many pages of 100 one run reads at most.
	refundPages = 50
	// refundsFor is for how long a refund may still change: banks send one back within 30
	// days (https://docs.stripe.com/refunds#failed-refunds).
	refundsFor = 30 * 24 * time.Hour
)

// A refund is news when no row tells of it, or only of a status before the one that it
// has. Of payments that somebody has in use the next run tells.
const markRefundedSQL = `
WITH listed AS (
	SELECT t.id, t.intent, t.status FROM jsonb_to_recordset($1::jsonb) AS t (id text, intent text, status text)
), news AS (
	SELECT p.id FROM booking_platform.payments p
	WHERE p.stripe_payment_intent_id = ANY (ARRAY(SELECT l.intent FROM listed l)) AND p.refunds_unknown = 0 AND p.account IN ('', $2::text)
	AND EXISTS (
		SELECT FROM listed l WHERE l.intent = p.stripe_payment_intent_id AND NOT EXISTS (
			SELECT FROM booking_platform.refunds r WHERE r.stripe_refund_id = l.id
			AND array_position('{due,pending,succeeded,failed,canceled}'::text[], r.status) >= array_position('{due,pending,succeeded,failed,canceled}'::text[], l.status)))
	FOR UPDATE OF p SKIP LOCKED
)
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1
FROM news n WHERE p.id = n.id`

// What Stripe's list does not reach any more and is on its way still is asked about once
// a day.
const markPendingSQL = `
UPDATE booking_platform.payments AS p SET refunds_unknown = p.refunds_unknown + 1
WHERE p.refunds_unknown = 0 AND p.account IN ('', $2::text) AND p.id IN (
	SELECT r.payment_id FROM booking_platform.refunds r
	WHERE r.status = 'pending' AND r.created_at < statement_timestamp() - make_interval(secs => $1::int)
	AND r.updated_at < statement_timestamp() - interval '1 day')`

// FindRefunds is one step: it lists, at Stripe, the refunds of the last 30 days, and has
// those of which no event told looked up by [Payments.LookUpRefunds]: so one that was
// made by hand, or that a bank has sent back, is known here though Stripe never made its
// event. Run it every quarter of an hour. It returns how many payments there is news of.
//
// It reads 5,000 refunds at most, the newest first, a page of 100 in one call and one
// round trip; no transaction is open while Stripe is asked. It is safe on every replica
// at once. What Stripe does not answer is [ErrUnavailable]. It ends with ctx.
func (p *Payments) FindRefunds(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	found, err := p.markPending(ctx)
	if err != nil {
		return 0, err
	}
	after := ""
	for range refundPages {
		if p.quiet() {
			break
		}
		page, err := p.refundPage(ctx, after)
		if err != nil {
			return found, p.unavailable(ctx, "list the refunds of late", "", err)
		}
		if len(page.Data) > 0 {
			n, err := p.markRefunded(ctx, page.Data)
			if err != nil {
				return found, err
			}
			found += n
			after = page.Data[len(page.Data)-1].ID
		}
		if !page.HasMore || len(page.Data) == 0 {
			break
		}
	}
	return found, nil
}

// markPending has payments looked up whose refund is on its way for longer than the list
// reaches.
func (p *Payments) markPending(ctx context.Context) (int, error) {
	var n int64
	err := p.alone(ctx, "mark refunds that are on their way", func(q booking.Querier) error {
		result, err := q.ExecContext(ctx, markPendingSQL, int(refundsFor/time.Second), p.account)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return int(n), err
}

// refundPage reads the page that begins after a refund.
func (p *Payments) refundPage(ctx context.Context, after string) (*stripe.RefundList, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	params := &stripe.RefundListParams{CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: time.Now().Add(-refundsFor).Unix()}}
	params.Context = ctx
	params.Limit = stripe.Int64(100)
	// The time limit is for one page.
	params.Single = true
	if after != "" {
		params.StartingAfter = stripe.String(after)
	}
	list := p.refundCalls.List(params)
	return list.RefundList(), list.Err()
}

// markRefunded notes which payments have refunds that are news.
func (p *Payments) markRefunded(ctx context.Context, page []*stripe.Refund) (int, error) {
	type listed struct {
		ID     string `json:"id"`
		Intent string `json:"intent"`
		Status string `json:"status"`
	}
	all := []listed{}
	for _, r := range page {
		t, err := toldBy(r)
		// Other things of the account's owner can be refunds without a PaymentIntent.
		if err != nil || r.PaymentIntent == nil {
			continue
		}
		all = append(all, listed{t.id, r.PaymentIntent.ID, string(t.status)})
	}
	encoded, err := json.Marshal(all)
	if err != nil {
		return 0, fmt.Errorf("payments: encode the refunds: %w", err)
	}
	var n int64
	err = p.alone(ctx, "mark payments that were refunded", func(q booking.Querier) error {
		result, err := q.ExecContext(ctx, markRefundedSQL, string(encoded), p.account)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return int(n), err
}
