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

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/webhook"
)

const (
	reconcileBatch = 20
	// reconcilePause, in seconds, is longer than the calls for a payment take.
	reconcilePause = 600
)

// Overdue: the session should have ended without an event, or a delayed payment method is
// pending.
const leaseOverdueSQL = `
UPDATE booking_platform.payments AS p SET leased_until = statement_timestamp() + make_interval(secs => $1::int)
WHERE p.id = (
	SELECT o.id FROM booking_platform.payments o
	WHERE o.captured_minor = 0 AND NOT o.expired AND NOT o.failed AND NOT o.parked
	AND (o.stripe_session_id IS NOT NULL OR o.kind = 'intent')
	AND (o.leased_until IS NULL OR o.leased_until < statement_timestamp())
	AND o.session_expires_at < statement_timestamp() AND o.account IN ('', $2::text)
	ORDER BY o.session_expires_at LIMIT 1
	FOR UPDATE SKIP LOCKED)
RETURNING ` + paymentColumns

// ReconcilePayments is a step that asks Stripe about overdue payments and applies the
// answers as their events would be, so that payments are settled without events. Run it
// every minute. It returns how many it settled, and asks about at most 20; about a
// pending delayed payment method again after ten minutes. With nothing to do it takes one
// round trip.
//
// Each payment is leased before the call, outside any transaction, so the step is safe on
// every replica and beside events. It continues after a failure and returns the failures
// joined.
func (p *Payments) ReconcilePayments(ctx context.Context) (int, error) {
	ctx = inBackground(ctx)
	settled := 0
	var failures []error
	for range reconcileBatch {
		if p.paused() {
			break
		}
		pay, err := p.queryPayment(ctx, "lease an overdue payment", leaseOverdueSQL, reconcilePause, p.account)
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

// pageReadPause is in seconds.
const pageReadPause = 5

const pageReadSQL = `
UPDATE booking_platform.payments SET page_read_at = statement_timestamp()
WHERE id = $1::uuid AND (page_read_at IS NULL OR page_read_at < statement_timestamp() - make_interval(secs => $2::int))
RETURNING true`

const pageReadFailedSQL = `UPDATE booking_platform.payments SET page_read_at = NULL WHERE id = $1::uuid`

// RefreshSession returns the payment of a Checkout Session (cs_…). If it is open or
// processing, Stripe is asked first and the answer applied as its event would be. Use it
// for the page to which customers return: the webhook may be late, and the visit itself
// proves nothing.
//
// Stripe is asked at most once per payment in five seconds, over all replicas, as pages
// can be reloaded. Calls in between wait for one in progress in this process, or return
// the payment as it is. Retry-After pauses RefreshSession in this process, but not the
// background steps.
//
// Errors: [ErrNotFound]; [ErrUnavailable], with the payment as read before. Safe on
// several replicas at once. One round trip for a settled payment, or another account's;
// otherwise three, a call to Stripe, and a transaction if the answer has news.
func (p *Payments) RefreshSession(ctx context.Context, sessionID string) (Payment, error) {
	pay, err := p.BySession(ctx, sessionID)
	if err != nil {
		return pay, err
	}
	if status := pay.Status(); status != StatusOpen && status != StatusProcessing || !p.owns(pay) {
		return pay, nil
	}
	if err := p.refreshOnce(ctx, pay); err != nil {
		return pay, err
	}
	return p.BySession(ctx, sessionID)
}

// errCallerGone: waiting callers start another refresh.
var errCallerGone = errors.New("the caller's context has ended")

func (p *Payments) refreshOnce(ctx context.Context, pay Payment) error {
	for {
		done := p.refreshes.DoChan(pay.ID, func() (_ any, err error) {
			defer func() {
				// A panic in this goroutine would end the process.
				if v := recover(); v != nil {
					err = fmt.Errorf("payments: refresh a payment: panic: %v\n%s", v, debug.Stack())
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
			return fmt.Errorf("payments: refresh a payment: %w", ctx.Err())
		}
	}
}

func (p *Payments) refreshForPage(ctx context.Context, pay Payment) error {
	if p.backoff.pagesPaused() {
		return nil
	}
	_, err := pg.Autocommit(ctx, p.db, func(ctx context.Context, q pg.Querier) (due bool, err error) {
		err = q.QueryRowContext(ctx, pageReadSQL, pay.ID, pageReadPause).Scan(&due)
		return due, err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return wrap(ctx, "mark a refresh for a page", err)
	}
	_, err = p.reconcile(forPage(ctx), pay)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// Stripe did not answer in time: let the next visit ask again.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
		defer cancel()
		err = errors.Join(err, p.inTxRetry(ctx, "unmark a refresh for a page", func(q *sql.Tx) error {
			_, err := q.ExecContext(ctx, pageReadFailedSQL, pay.ID)
			return err
		}))
	}
	return err
}

// In place of the event's ledger row. The first time is kept.
const reconciledSQL = `
UPDATE booking_platform.payments SET asked_at = statement_timestamp() WHERE id = $1::uuid AND asked_at IS NULL`

// reconcile reports whether the session at Stripe changed the payment.
func (p *Payments) reconcile(ctx context.Context, pay Payment) (bool, error) {
	ctx = actingAs(ctx, "payments")
	callCtx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	what, read := "read the Checkout Session", p.sessionState
	if pay.Kind == KindIntent {
		what, read = "read the PaymentIntent", p.intentState
	}
	found, err := read(callCtx, pay)
	if err != nil {
		return false, p.unavailable(ctx, what, pay.ID, err)
	}
	if found.step == nil {
		return false, nil
	}
	var outcome webhook.Outcome
	err = p.inTxRetry(ctx, "apply Stripe's answer", func(tx *sql.Tx) error {
		bookings := p.bookings.Tx(tx)
		b, err := bookings.LockWithResource(ctx, pay.BookingID)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, reconciledSQL, pay.ID); err != nil {
			return err
		}
		return p.observe(ctx, tx, b.ID, func() (err error) {
			outcome, err = found.apply(ctx, tx, bookings, pay, b)
			return err
		})
	})
	if err != nil {
		return false, err
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment settled by Stripe's API without its event",
		slog.String("payment_id", pay.ID),
		slog.String("booking_id", pay.BookingID), slog.String("outcome", string(outcome)))
	return true, nil
}

// stripeState is a Checkout Session or PaymentIntent as the API shows it. step applies it
// as its event would be, or is nil while it waits for the customer or a bank.
type stripeState struct {
	step            func(context.Context, lockedEvent) (webhook.Outcome, error)
	session         checkoutSession
	intent, charge  string
	url, reference  string
	paid, cancelled bool
	// Only of what is adopted.
	transfer, fee bool
}

// The booking is locked, its resource before it.
func (s stripeState) apply(ctx context.Context, q booking.Querier, bookings *booking.Tx, pay Payment,
	b booking.Booking) (webhook.Outcome, error) {
	ev := webhook.Event{ID: "asked", Type: "payments.ask", SessionID: s.session.ID, PaymentIntentID: s.intent}
	return s.step(ctx, lockedEvent{tx: q, bookings: bookings, event: ev, session: s.session, charge: s.charge,
		payment: pay, booking: b})
}

func (p *Payments) sessionState(ctx context.Context, pay Payment) (stripeState, error) {
	return p.readSession(ctx, pay.SessionID)
}

func (p *Payments) readSession(ctx context.Context, id string) (state stripeState, err error) {
	state.session.ID = id
	params := &stripe.CheckoutSessionParams{}
	params.Context = ctx
	found, err := p.sessions.Get(id, params)
	if p.gone(err) {
		state.step, state.cancelled = p.handleExpired, true
		return state, nil
	}
	if err != nil {
		return state, err
	}
	if found.PaymentIntent != nil {
		state.intent = found.PaymentIntent.ID
	}
	state.url, state.reference = found.URL, found.ClientReferenceID
	state.session = checkoutSession{
		ID: found.ID, PaymentStatus: string(found.PaymentStatus), AmountTotal: &found.AmountTotal,
		Currency: strings.ToLower(string(found.Currency)),
	}
	switch {
	case found.Status == stripe.CheckoutSessionStatusExpired:
		state.step, state.cancelled = p.handleExpired, true
	case found.Status != stripe.CheckoutSessionStatusComplete:
	case state.session.paid():
		state.step, state.paid = p.handleCompleted, true
	case state.intent != "":
		refused, err := p.refusedByBank(ctx, state.intent)
		if err != nil {
			return state, err
		}
		if refused {
			state.step = p.handleAsyncFailed
		}
	}
	return state, nil
}

// refusedByBank: a delayed payment method has failed for good
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
