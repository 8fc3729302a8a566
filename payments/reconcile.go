package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/webhook"
)

const (
	// askBatch is how many payments one run of the step asks about at most.
	reconcileBatch = 20
	// askPause, in seconds, is how long a payment is left alone after it was asked about:
	// longer than asking takes.
	reconcilePause = 600
)

// A payment is past its time when its session should have ended and nothing was heard of
// it, or when a delayed method keeps it waiting.
const leaseOverdueSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
WHERE p.id = (
	SELECT o.id FROM booking_platform.payments o
	WHERE o.captured_minor = 0 AND NOT o.expired AND NOT o.failed AND NOT o.parked AND o.stripe_session_id IS NOT NULL
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND o.session_expires_at < statement_timestamp() AND o.account IN ('', $2::text)
	ORDER BY o.session_expires_at LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING ` + paymentColumns

// ReconcilePayments is one step: it asks Stripe about payments that are past their time, and
// applies what it answers as their events would have been: so each is settled though no
// event of it ever comes. Run it every minute. It returns how many it settled, and asks
// about 20 at most; nothing to do is one round trip that reads one small index. A delayed
// method that still has not paid is asked about again after ten minutes.
//
// Each payment is leased in the database before the call, so the step is safe on every
// replica at once, against their events too, and no transaction is open while Stripe is
// asked. It goes on after one that failed, and returns what failed; it ends with ctx.
func (p *Payments) ReconcilePayments(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	settled := 0
	var failures []error
	for range reconcileBatch {
		if p.paused() {
			break
		}
		pay, err := p.queryPayment(ctx, "lease a payment to ask about", leaseOverdueSQL, reconcilePause, p.account)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err == nil {
			var changed bool
			if changed, err = p.reconcile(ctx, pay); changed {
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

// RefreshSession returns the payment of a Checkout Session (cs_…), and asks Stripe about it
// first where it is open or processing: for the page to which a customer returns, whose
// webhook may be late. The answer is applied as its event would be. The visit itself
// confirms nothing.
//
// Anyone who has a page's address can visit it any number of times, so Stripe is asked once
// per payment in five seconds, over all replicas. A call in between waits for one that is
// under way in this process, and otherwise returns the payment as it is. Stripe is not
// asked about payments of other accounts. After an answer with Retry-After this process
// does not ask for pages until then; background steps are not affected.
//
// Errors: [ErrNotFound]; [ErrUnavailable], with the payment as it was read before. Safe on
// several replicas at once. One round trip where the payment is settled. Otherwise three,
// one call to Stripe and, where that has news, a transaction.
func (p *Payments) RefreshSession(ctx context.Context, sessionID string) (Payment, error) {
	pay, err := p.BySession(ctx, sessionID)
	if err != nil {
		return pay, err
	}
	if status := pay.Status(); status != Open && status != Processing || !p.owns(pay) {
		return pay, nil
	}
	if err := p.refreshOnce(ctx, pay); err != nil {
		return pay, err
	}
	return p.BySession(ctx, sessionID)
}

// errCallerGone marks a refresh whose caller's context ended: others must start anew.
var errCallerGone = errors.New("the caller's context has ended")

// refreshOnce refreshes the payment, or waits for a refresh of it in this process.
func (p *Payments) refreshOnce(ctx context.Context, pay Payment) error {
	for {
		done := p.refreshes.DoChan(pay.SessionID, func() (_ any, err error) {
			defer func() {
				// In this goroutine a panic would end the process.
				if v := recover(); v != nil {
					err = fmt.Errorf("payments: refresh the Checkout Session: panic: %v\n%s", v, debug.Stack())
				}
			}()
			if err = p.refreshForPage(ctx, pay); err != nil && ctx.Err() != nil {
				err = fmt.Errorf("%w: %w", errCallerGone, err)
			}
			return nil, err
		})
		select {
		case result := <-done:
			if errors.Is(result.Err, errCallerGone) && ctx.Err() == nil {
				continue
			}
			return result.Err
		case <-ctx.Done():
			return fmt.Errorf("payments: refresh the Checkout Session: %w", ctx.Err())
		}
	}
}

func (p *Payments) refreshForPage(ctx context.Context, pay Payment) error {
	if p.backoff.pagesPaused() {
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
	_, err = p.reconcile(forPage(ctx), pay)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// Stripe has not answered in the caller's time: the next visit may ask.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
		defer cancel()
		err = errors.Join(err, p.inTxRetry(ctx, "forget a page's question", func(q *sql.Tx) error {
			_, err := q.ExecContext(ctx, pageReadFailedSQL, pay.ID)
			return err
		}))
	}
	return err
}

// The record that stands where an event's row in the ledger would: committed with what
// Stripe's answer does, and the first one stays.
const reconciledSQL = `
UPDATE booking_platform.payments SET asked_at = statement_timestamp() WHERE id = $1::uuid AND asked_at IS NULL`

// ask gets the session and applies it; true when the payment is settled by that.
func (p *Payments) reconcile(ctx context.Context, pay Payment) (bool, error) {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	step, s, intent, err := p.sessionOutcome(callCtx, pay.SessionID)
	if err != nil {
		return false, p.unavailable(ctx, "ask about the Checkout Session", pay.ID, err)
	}
	if step == nil {
		return false, nil
	}
	ev := webhook.Event{ID: "asked", Type: "payments.ask", SessionID: pay.SessionID, PaymentIntentID: intent}
	var outcome webhook.Outcome
	err = p.inTxRetry(ctx, "apply what Stripe answered", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.LockWithResource(ctx, pay.BookingID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, reconciledSQL, pay.ID); err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() (err error) {
			outcome, err = step(ctx, lockedEvent{tx: tx, bookings: bookings, event: ev, session: s, payment: pay,
				booking: b})
			return err
		})
	})
	if err != nil {
		return false, err
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment settled by asking Stripe, without its event",
		slog.String("payment_id", pay.ID),
		slog.String("booking_id", pay.BookingID), slog.String("outcome", string(outcome)))
	return true, nil
}

// sessionOutcome asks what a session has become, and which step that is; nil while it waits
// for its customer or a bank.
func (p *Payments) sessionOutcome(ctx context.Context, id string) (
	step func(context.Context, lockedEvent) (webhook.Outcome, error), s checkoutSession, intent string, err error,
) {
	params := &stripe.CheckoutSessionParams{}
	params.Context = ctx
	found, err := p.sessions.Get(id, params)
	if p.gone(err) {
		return p.handleExpired, s, "", nil
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
		return p.handleExpired, s, intent, nil
	case found.Status != stripe.CheckoutSessionStatusComplete:
		return nil, s, intent, nil
	case s.paid():
		return p.handleCompleted, s, intent, nil
	}
	if intent == "" {
		return nil, s, intent, nil
	}
	refused, err := p.refusedByBank(ctx, intent)
	if err != nil || !refused {
		return nil, s, intent, err
	}
	return p.handleAsyncFailed, s, intent, nil
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
