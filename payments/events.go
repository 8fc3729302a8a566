package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/webhook"
)

// Register adds this package's handlers to a receiver, once, before it serves. A handler
// runs in the receiver's transaction, so booking, payment and ledger row change together.
// The booking's history names the actor "stripe:evt_…" unless the context names one; see
// booking.WithActor.
//
// Handlers of your own for the same types get what this package does not know, whether
// they are registered before or after: a Checkout Session that Checkout did not create,
// a PaymentIntent that was not adopted, and a refund or dispute of another PaymentIntent.
// They return webhook.Unmatched or webhook.Ignored for what is not theirs, and so does
// this package. A handler that was registered before gets the events of this package
// first, and an error of it keeps them from being applied: its SQL must not fail on a
// reference that is not its own, such as a payment's UUID compared with a bigint.
//
// Subscribe the endpoint at Stripe to these types: checkout.session.completed,
// checkout.session.expired, checkout.session.async_payment_succeeded,
// checkout.session.async_payment_failed, charge.refunded, charge.refund.updated,
// refund.created, refund.updated, refund.failed, charge.dispute.created,
// charge.dispute.updated, charge.dispute.closed, charge.dispute.funds_withdrawn,
// charge.dispute.funds_reinstated, payment_intent.succeeded, payment_intent.processing,
// payment_intent.payment_failed, payment_intent.canceled.
func (p *Payments) Register(r *webhook.Receiver) {
	p.registered.Store(r, true)
	for eventType, handler := range p.handlers() {
		r.Handle(eventType, handler)
	}
}

// EventTypes returns the types of Stripe events that [Payments.Register] handles, sorted.
func EventTypes() []string {
	return slices.Sorted(maps.Keys((&Payments{}).handlers()))
}

func (p *Payments) handlers() map[string]webhook.Handler {
	all := map[string]webhook.Handler{
		"checkout.session.completed":               p.handle(p.handleCompleted),
		"checkout.session.async_payment_succeeded": p.handle(p.handleCompleted),
		"checkout.session.async_payment_failed":    p.handle(p.handleAsyncFailed),
		"checkout.session.expired":                 p.handle(p.handleExpired),
		"charge.refunded":                          p.handleIntent(p.handleChargeRefunded),
	}
	for eventType, step := range p.intentSteps() {
		all[eventType] = p.handleAdopted(step)
	}
	for _, refund := range []string{"charge.refund.updated", "refund.created", "refund.updated", "refund.failed"} {
		all[refund] = p.handleIntent(p.handleRefund)
	}
	for _, what := range []string{"created", "updated", "closed", "funds_withdrawn", "funds_reinstated"} {
		all["charge.dispute."+what] = p.handleIntent(p.handleDispute)
	}
	return all
}

// checkoutSession has the fields used of
// https://docs.stripe.com/api/checkout/sessions/object.
type checkoutSession struct {
	ID            string `json:"id"`
	PaymentStatus string `json:"payment_status"`
	AmountTotal   *int64 `json:"amount_total"`
	Currency      string `json:"currency"`
}

// paid includes "no_payment_required": a discount reduced the total to zero.
func (s checkoutSession) paid() bool {
	return s.PaymentStatus == "paid" || s.PaymentStatus == "no_payment_required"
}

// total returns what the customer was charged, or false if the event has no valid amount.
// Stripe can convert it to another currency.
func (s checkoutSession) total() (booking.Money, bool) {
	currency := strings.ToLower(s.Currency)
	if s.AmountTotal == nil || !currencyCode.MatchString(currency) {
		return booking.Money{}, false
	}
	return booking.Money{Minor: *s.AmountTotal, Currency: currency}, true
}

var currencyCode = regexp.MustCompile(`^[a-z]{3}$`)

// handle matches a Checkout Session event to its payment, locks the booking and calls
// step.
func (p *Payments) handle(step func(context.Context, lockedEvent) (webhook.Outcome, error)) webhook.Handler {
	return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		var s checkoutSession
		// An error would make Stripe resend the event for three days.
		if json.Unmarshal(ev.Object, &s) != nil || ev.SessionID == "" {
			return p.noPayment(ev), nil
		}
		pay, expired, found, err := match(ctx, tx, ev)
		if err != nil {
			return "", fmt.Errorf("payments: match %s: %w", ev.Type, err)
		}
		if !found {
			return p.noPayment(ev), nil
		}
		lock := p.bookings.Tx(tx).Lock
		if expired {
			// Retaking the slot locks the resource first. If the booking expires only
			// now, a deadlock is possible and retried.
			lock = p.bookings.Tx(tx).LockWithResource
		}
		return p.withLockedBooking(ctx, tx, ev, pay, lock,
			func(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
				e.session = s
				return step(ctx, e)
			})
	}
}

// handleCompleted handles a completed Checkout, paid or with a delayed payment method, by
// the present state, however often it runs.
func (p *Payments) handleCompleted(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	d, err := e.readDecisions(ctx)
	if err != nil {
		return "", err
	}
	total, known := e.session.total()
	switch {
	case d.this && (!known || total != e.payment.Amount):
		// Decided already: the money was applied or is being refunded.
		return webhook.Processed, nil
	case !known || total != e.payment.Amount:
		return p.park(ctx, e, ReasonAmount)
	case !e.session.paid():
		return p.handleProcessing(ctx, e)
	case d.goneBack:
		// An operator has begun to refund the parked money.
		return webhook.Parked, nil
	case d.this:
		// Decided already; only the facts are recorded.
	case d.other:
		return p.returnUnapplied(ctx, e, ReasonPaidTwice)
	case e.booking.Status == booking.StatusPending:
		// The units are still held, so confirm even if the hold has just expired, unless
		// the slot has started.
		_, err := e.bookings.ConfirmLate(ctx, e.booking.ID)
		if errors.Is(err, booking.ErrSlotGone) {
			if err := ignoreNotPending(e.bookings.Expire(ctx, e.booking.ID)); err != nil {
				return "", err
			}
			return p.returnUnapplied(ctx, e, ReasonLate)
		}
		if err != nil {
			return "", err
		}
	case e.booking.Status == booking.StatusExpired:
		_, err := e.bookings.Retake(ctx, e.booking.ID)
		if errors.Is(err, booking.ErrSlotTaken) || errors.Is(err, booking.ErrSlotGone) {
			return p.returnUnapplied(ctx, e, ReasonLate)
		}
		if err != nil {
			return "", err
		}
	case e.booking.Status == booking.StatusCancelled:
		return p.handleAfterCancellation(ctx, e)
	}
	if err := e.record(ctx, facts{completed: true, captured: e.payment.Amount}); err != nil {
		return "", err
	}
	return webhook.Processed, p.cancelRefundedBooking(ctx, e.tx, e.bookings, e.payment.ID, e.booking.ID)
}

// handleAfterCancellation handles money for a cancelled hold: the policy's fee is kept
// and the rest refunded, or all if the customer began to pay after the cancellation.
func (p *Payments) handleAfterCancellation(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	var begun time.Time
	switch e.event.Type {
	case "checkout.session.completed":
		begun = e.event.Created
	case intentSucceeded:
		var err error
		if begun, err = e.intentBegun(ctx); err != nil {
			return "", err
		}
	}
	_, kept, err := e.bookings.ApplyLateRefund(ctx, e.booking.ID, begun)
	if err != nil {
		return "", err
	}
	if !kept {
		return p.returnUnapplied(ctx, e, ReasonCancelled)
	}
	if err := e.record(ctx, facts{completed: true, captured: e.payment.Amount}); err != nil {
		return "", err
	}
	return webhook.Processed, commitDueRefund(ctx, e.tx, e.payment.ID, "", "stripe:"+e.event.ID)
}

// handleProcessing extends the hold for a delayed payment method, at most to the
// booking's start.
func (p *Payments) handleProcessing(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	if e.booking.Status == booking.StatusPending {
		until, err := e.databaseTime(ctx)
		if err != nil {
			return "", err
		}
		until = until.Add(p.opts.ProcessingHold)
		if until.After(e.booking.Start) {
			until = e.booking.Start
		}
		if err := ignoreNotPending(e.bookings.Extend(ctx, e.booking.ID, until)); err != nil {
			return "", err
		}
	}
	return webhook.Processed, e.record(ctx, facts{completed: true})
}

// park records the money and the reason. The booking does not change.
func (p *Payments) park(ctx context.Context, e lockedEvent, reason string) (webhook.Outcome, error) {
	f := facts{completed: true, parked: reason}
	if total, known := e.session.total(); known && e.session.paid() {
		f.captured = total
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment parked for an operator", slog.String("payment_id", e.payment.ID),
		slog.String("booking_id", e.booking.ID), slog.String("reason", reason))
	return webhook.Parked, e.record(ctx, f)
}

func (p *Payments) handleAsyncFailed(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	if err := e.record(ctx, facts{completed: true, failed: true}); err != nil {
		return "", err
	}
	return webhook.Processed, e.releaseHold(ctx)
}

func (p *Payments) handleExpired(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	if err := e.record(ctx, facts{expired: true}); err != nil {
		return "", err
	}
	return webhook.Processed, e.releaseHold(ctx)
}

// releaseHold expires the hold unless another session of the booking can still pay for
// it.
func (e lockedEvent) releaseHold(ctx context.Context) error {
	var alive bool
	if err := e.tx.QueryRowContext(ctx, othersAliveSQL, e.booking.ID, e.payment.ID).Scan(&alive); err != nil || alive {
		return err
	}
	return ignoreNotPending(e.bookings.Expire(ctx, e.booking.ID))
}

// lockedEvent is an event about a payment whose booking is locked. The payment was read
// before the lock: use only its immutable fields.
type lockedEvent struct {
	tx       booking.Querier
	bookings *booking.Tx
	event    webhook.Event
	session  checkoutSession
	charge   string // of a PaymentIntent, or empty
	payment  Payment
	booking  booking.Booking
}

func (p *Payments) withLockedBooking(
	ctx context.Context, tx webhook.Tx, ev webhook.Event, pay Payment,
	lock func(context.Context, string) (booking.Booking, error),
	step func(context.Context, lockedEvent) (webhook.Outcome, error),
) (webhook.Outcome, error) {
	ctx = actingAs(ctx, "stripe:"+ev.ID)
	bookings := p.bookings.Tx(tx)
	b, err := lock(ctx, pay.BookingID)
	if err != nil {
		return "", fmt.Errorf("payments: lock the booking: %w", err)
	}
	webhook.Annotate(ctx, slog.String("booking_id", b.ID), slog.String("payment_id", pay.ID))
	var outcome webhook.Outcome
	err = p.observe(ctx, tx, b.ID, func() (err error) {
		outcome, err = step(ctx, lockedEvent{tx: tx, bookings: bookings, event: ev, payment: pay, booking: b})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("payments: %s: %w", ev.Type, err)
	}
	return outcome, nil
}

func actingAs(ctx context.Context, actor string) context.Context {
	if booking.Actor(ctx) != "" {
		return ctx
	}
	return booking.WithActor(ctx, actor)
}

// noPayment returns the outcome of a Checkout Session event without a payment. Sessions
// of this service have a payment id as their reference and a success_url below appURL;
// their row may still come. Others belong to another product on the same Stripe account.
func (p *Payments) noPayment(ev webhook.Event) webhook.Outcome {
	if uuid.Validate(ev.Reference) != nil {
		return webhook.Ignored
	}
	var session struct {
		SuccessURL json.RawMessage `json:"success_url"`
	}
	if json.Unmarshal(ev.Object, &session) != nil || session.SuccessURL == nil {
		return webhook.Unmatched
	}
	var url string
	if json.Unmarshal(session.SuccessURL, &url) != nil || !strings.HasPrefix(url, p.appURL+"/") {
		return webhook.Ignored
	}
	return webhook.Unmatched
}

// returnUnapplied records money that cannot be applied and commits to a full refund,
// once: the reason is the refund's cause. During a dispute commitDueRefund waits for its
// end. The booking does not change.
func (p *Payments) returnUnapplied(ctx context.Context, e lockedEvent, reason string) (webhook.Outcome, error) {
	if p.opts.ParkUnapplied {
		return p.park(ctx, e, reason)
	}
	if err := e.record(ctx, facts{completed: true, captured: e.payment.Amount, unapplied: reason}); err != nil {
		return "", err
	}
	if err := commitDueRefund(ctx, e.tx, e.payment.ID, "", "stripe:"+e.event.ID); err != nil {
		return "", err
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment cannot be applied and is refunded",
		slog.String("payment_id", e.payment.ID),
		slog.String("booking_id", e.booking.ID), slog.String("reason", reason))
	return webhook.Processed, nil
}

// By session id, or by payment id while no session id is stored.
const matchSQL = `SELECT ` + paymentColumns + `,
	(SELECT b.status = 'expired' FROM booking_platform.bookings b WHERE b.id = p.booking_id)
FROM booking_platform.payments p
WHERE p.stripe_session_id = $1 OR (p.id = $2::uuid AND p.stripe_session_id IS NULL)
ORDER BY p.stripe_session_id NULLS LAST LIMIT 1`

// match does not lock the payment, because the booking is locked first. It also reports
// whether the booking has expired.
func match(ctx context.Context, tx webhook.Tx, ev webhook.Event) (pay Payment, expired, found bool, err error) {
	// A foreign reference must not cause an SQL error on every retry.
	ref, err := uuid.Parse(ev.Reference)
	if err != nil {
		ref = uuid.Nil
	}
	pay, err = scanPayment(alsoScan{tx.QueryRowContext(ctx, matchSQL, ev.SessionID, ref.String()), &expired})
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, false, false, nil
	}
	return pay, expired, err == nil, err
}

type alsoScan struct {
	row  interface{ Scan(dest ...any) error }
	more any
}

func (s alsoScan) Scan(dest ...any) error { return s.row.Scan(append(dest, s.more)...) }
