package payments

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/webhook"
)

const (
	// askBatch is how many payments one run of the step asks about at most.
	askBatch = 20
	// askPause, in seconds, is how long a payment is left alone after it was asked about:
	// longer than asking takes.
	askPause = 600
)

// A payment is past its time when its session should have ended and nothing was heard of
// it, or when a delayed method keeps it waiting.
const leasePastSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
WHERE p.id = (
	SELECT o.id FROM booking_platform.payments o
	WHERE o.captured_minor = 0 AND NOT o.expired AND NOT o.failed AND NOT o.parked AND o.stripe_session_id IS NOT NULL
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND o.session_expires_at < statement_timestamp() AND o.account IN ('', $2::text)
	ORDER BY o.session_expires_at LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING ` + paymentColumns

// AskStripe is one step: it asks Stripe about payments that are past their time, and
// applies what it answers as their events would have been: so each is settled though no
// event of it ever comes. Run it every minute. It returns how many it settled, and asks
// about 20 at most; nothing to do is one round trip that reads one small index. A delayed
// method that still has not paid is asked about again after ten minutes.
//
// Each payment is leased in the database before the call, so the step is safe on every
// replica at once, against their events too, and no transaction is open while Stripe is
// asked. It goes on after one that failed, and returns what failed; it ends with ctx.
func (p *Payments) AskStripe(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	settled := 0
	var failures []error
	for range askBatch {
		if p.quiet() {
			break
		}
		pay, err := p.queryPayment(ctx, "lease a payment to ask about", leasePastSQL, askPause, p.account)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err == nil {
			var changed bool
			if changed, err = p.ask(ctx, pay); changed {
				settled++
			}
		}
		if err != nil {
			failures = append(failures, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return settled, errors.Join(failures...)
}

// pageReadPause, in seconds, is how long a payment is not asked about again for a page.
const pageReadPause = 5

const pageReadSQL = `
UPDATE booking_platform.payments SET page_read_at = statement_timestamp()
WHERE id = $1::uuid AND (page_read_at IS NULL OR page_read_at < statement_timestamp() - make_interval(secs => $2::int))
RETURNING true`

const pageReadFailedSQL = `UPDATE booking_platform.payments SET page_read_at = NULL WHERE id = $1::uuid`

// Ask asks Stripe about one Checkout Session (cs_…), and applies the answer as its event
// would have been: for the page to which a customer comes back, where a webhook may be
// late. Only what Stripe says counts, not that the page was visited.
//
// A page can be visited by anyone who has its address, any number of times. So Stripe is
// asked once per payment in five seconds, over all replicas; a call in between waits for
// one that is under way in this process, and else returns nil at once. Nothing is asked
// where the payment is settled or another account's. Where Stripe answers with a
// Retry-After, this process asks for no page until then; background steps do not heed it.
//
// The errors are [ErrNotFound] and [ErrUnavailable]. Safe to repeat, and on several
// replicas at once. Two round trips and one call, and where that brings news a
// transaction.
func (p *Payments) Ask(ctx context.Context, sessionID string) error {
	pay, err := p.BySession(ctx, sessionID)
	if err != nil {
		return err
	}
	if status := pay.Status(); status != Open && status != Processing || !p.owns(pay) {
		return nil
	}
	return p.asking.once(ctx, pay.SessionID, func() error { return p.askForPage(ctx, pay) })
}

func (p *Payments) askForPage(ctx context.Context, pay Payment) error {
	if p.courtesy.pagesQuiet() {
		return nil
	}
	_, err := pg.WriteAlone(ctx, p.db, func(ctx context.Context, q pg.Querier) (due bool, err error) {
		err = q.QueryRowContext(ctx, pageReadSQL, pay.ID, pageReadPause).Scan(&due)
		return due, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return wrap(ctx, "note a page's question", err)
	}
	_, err = p.ask(forPage(ctx), pay)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// Stripe has not answered in the caller's time: the next visit may ask.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
		defer cancel()
		err = errors.Join(err, p.alone(ctx, "forget a page's question", func(q booking.Querier) error {
			_, err := q.ExecContext(ctx, pageReadFailedSQL, pay.ID)
			return err
		}))
	}
	return err
}

// The record that stands where an event's row in the ledger would: committed with what
// Stripe's answer does, and the first one stays.
const askedSQL = `
UPDATE booking_platform.payments SET asked_at = statement_timestamp() WHERE id = $1::uuid AND asked_at IS NULL`

// ask gets the session and applies it; true when the payment is settled by that.
func (p *Payments) ask(ctx context.Context, pay Payment) (bool, error) {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	step, s, intent, err := p.whatBecame(callCtx, pay.SessionID)
	if err != nil {
		return false, p.unavailable(ctx, "ask about the Checkout Session", pay.ID, err)
	}
	if step == nil {
		return false, nil
	}
	ev := webhook.Event{ID: "asked", Type: "payments.ask", SessionID: pay.SessionID, PaymentIntentID: intent}
	var outcome webhook.Outcome
	err = p.transactAgain(ctx, func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.LockWithResource(ctx, pay.BookingID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, askedSQL, pay.ID); err != nil {
			return err
		}
		return p.watch(ctx, tx, b.ID, func() (err error) {
			outcome, err = step(ctx, arrival{tx: tx, bookings: bookings, event: ev, session: s, payment: pay,
				booking: b})
			return err
		})
	})
	if err != nil {
		return false, wrap(ctx, "apply what Stripe answered", err)
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment settled by asking Stripe, without its event",
		slog.String("payment_id", pay.ID),
		slog.String("booking_id", pay.BookingID), slog.String("outcome", string(outcome)))
	return true, nil
}

// whatBecame asks what a session has become, and which step that is; nil while it waits
// for its customer or a bank.
func (p *Payments) whatBecame(ctx context.Context, id string) (
	step func(context.Context, arrival) (webhook.Outcome, error), s checkoutSession, intent string, err error,
) {
	params := &stripe.CheckoutSessionParams{}
	params.Context = ctx
	found, err := p.sessions.Get(id, params)
	if p.gone(err) {
		return p.expired, s, "", nil
	}
	if err != nil {
		return nil, s, "", err
	}
	if found.PaymentIntent != nil {
		intent = found.PaymentIntent.ID
	}
	s = checkoutSession{
		ID: found.ID, PaymentStatus: string(found.PaymentStatus), AmountTotal: &found.AmountTotal,
		Currency: strings.ToLower(string(found.Currency)),
	}
	switch {
	case found.Status == stripe.CheckoutSessionStatusExpired:
		return p.expired, s, intent, nil
	case found.Status != stripe.CheckoutSessionStatusComplete:
		return nil, s, intent, nil
	case s.paid():
		return p.completed, s, intent, nil
	}
	if intent == "" {
		return nil, s, intent, nil
	}
	refused, err := p.refusedByBank(ctx, intent)
	if err != nil || !refused {
		return nil, s, intent, err
	}
	return p.asyncFailed, s, intent, nil
}

// refusedByBank tells whether a delayed method has failed for good: the PaymentIntent of
// a completed session does not go on by itself from there
// (https://docs.stripe.com/payments/paymentintents/lifecycle).
func (p *Payments) refusedByBank(ctx context.Context, intent string) (bool, error) {
	params := &stripe.PaymentIntentParams{}
	params.Context = ctx
	found, err := p.intents.Get(intent, params)
	if err != nil {
		return false, err
	}
	return found.Status == stripe.PaymentIntentStatusRequiresPaymentMethod ||
		found.Status == stripe.PaymentIntentStatusCanceled, nil
}
