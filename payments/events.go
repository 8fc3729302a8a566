package payments

import (
	"context"
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

// The reasons for which a payment is parked, or not applied and refunded.
const (
	// ReasonAmount means that amount or currency differ from what was asked for.
	ReasonAmount = "amount_differs"
	// ReasonLate means that the money came after the hold had ended.
	ReasonLate = "hold_expired"
	// ReasonCancelled means that the money came for a cancelled booking.
	ReasonCancelled = "booking_cancelled"
	// ReasonPaidTwice means that another Checkout Session of the same booking was paid
	// already.
	ReasonPaidTwice = "booking_already_paid"
)

// Register puts the handlers of this package on a receiver. Call it once, before the
// receiver serves; it panics where a type has a handler already. Each runs inside the
// receiver's transaction, in which the booking, the payment and the ledger row change
// together or not at all. The booking's history names the event as the actor,
// "stripe:evt_…", unless the context names one: see booking.WithActor.
//
// Subscribe the endpoint at Stripe to these types: checkout.session.completed,
// checkout.session.expired, checkout.session.async_payment_succeeded,
// checkout.session.async_payment_failed, charge.refunded, charge.refund.updated,
// refund.created, refund.updated, refund.failed, charge.dispute.created,
// charge.dispute.updated, charge.dispute.closed, charge.dispute.funds_withdrawn,
// charge.dispute.funds_reinstated.
func (p *Payments) Register(r *webhook.Receiver) {
	for eventType, handler := range p.handlers() {
		r.Handle(eventType, handler)
	}
}

// EventTypes are the types of Stripe's events that [Payments.Register] handles, in
// alphabetical order: what the endpoint at Stripe has to be subscribed to.
func EventTypes() []string {
	return slices.Sorted(maps.Keys((&Payments{}).handlers()))
}

// handlers are those of Register, by the type of their event.
func (p *Payments) handlers() map[string]webhook.Handler {
	all := map[string]webhook.Handler{
		"checkout.session.completed":               p.handle(p.handleCompleted),
		"checkout.session.async_payment_succeeded": p.handle(p.handleCompleted),
		"checkout.session.async_payment_failed":    p.handle(p.handleAsyncFailed),
		"checkout.session.expired":                 p.handle(p.handleExpired),
		"charge.refunded":                          p.handleIntent(p.handleChargeRefunded),
	}
	for _, refund := range []string{"charge.refund.updated", "refund.created", "refund.updated", "refund.failed"} {
		all[refund] = p.handleIntent(p.handleRefund)
	}
	for _, what := range []string{"created", "updated", "closed", "funds_withdrawn", "funds_reinstated"} {
		all["charge.dispute."+what] = p.handleIntent(p.handleDispute)
	}
	return all
}

// checkoutSession is what we use of Stripe's object
// (https://docs.stripe.com/api/checkout/sessions/object). A PaymentIntent may be an id
// or, expanded, an object; the receiver has sorted that out already.
type checkoutSession struct {
	ID            string `json:"id"`
	PaymentStatus string `json:"payment_status"`
	AmountTotal   *int64 `json:"amount_total"`
	Currency      string `json:"currency"`
}

// paid: "no_payment_required" is what a session says whose total a discount brought to
// nothing.
func (s checkoutSession) paid() bool {
	return s.PaymentStatus == "paid" || s.PaymentStatus == "no_payment_required"
}

// total is what the customer was asked for, which can be in another currency than ours:
// Stripe converts prices where the account is set so. One that cannot be read, or stored,
// is unknown.
func (s checkoutSession) total() (booking.Money, bool) {
	currency := strings.ToLower(s.Currency)
	if s.AmountTotal == nil || !currencyCode.MatchString(currency) {
		return booking.Money{}, false
	}
	return booking.Money{Minor: *s.AmountTotal, Currency: currency}, true
}

var currencyCode = regexp.MustCompile(`^[a-z]{3}$`)

// handle finds the payment that an event is about, locks its booking, and then lets the
// step decide. An event that matches no payment is unmatched, since the row may still
// come, or ignored where it cannot be about a payment of ours.
func (p *Payments) handle(step func(context.Context, lockedEvent) (webhook.Outcome, error)) webhook.Handler {
	return func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
		var s checkoutSession
		// An object that is no Checkout Session can match no payment. An error would have
		// Stripe send it for three days.
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
			// Its slot may be taken again, which begins with the resource. Should the
			// booking expire only now, the order is another, and Postgres ends one of two
			// that wait for each other: that one is run again.
			lock = p.bookings.Tx(tx).LockWithResource
		}
		return p.withLockedBooking(ctx, tx, ev, pay, lock, func(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
			e.session = s
			return step(ctx, e)
		})
	}
}

// completed handles the end of a Checkout: paid, or, by a delayed method, not yet. It may
// be called any number of times for one session, by both of its event types, and by the
// replay of an event that was parked: then it decides anew, on what is true now.
func (p *Payments) handleCompleted(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	d, err := e.readDecisions(ctx)
	if err != nil {
		return "", err
	}
	total, known := e.session.total()
	switch {
	case d.this && (!known || total != e.payment.Amount):
		// The money was applied, or is on its way back: what another event says of the
		// amount changes nothing of that.
		return webhook.Processed, nil
	case !known || total != e.payment.Amount:
		return p.park(ctx, e, ReasonAmount)
	case !e.session.paid():
		return p.handleProcessing(ctx, e)
	case d.goneBack:
		// Parked, and an operator has begun to give it back: there is nothing to confirm
		// a booking with.
		return webhook.Parked, nil
	case d.this:
		// Whatever the booking has become since, this money was applied, or is on its way
		// back.
	case d.other:
		return p.returnUnapplied(ctx, e, ReasonPaidTwice)
	case e.booking.Status == booking.Pending:
		// The units are still held, so the customer gets them, even when the clock has
		// just passed the hold's end. Money that comes after the start of the slot goes
		// back.
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
	case e.booking.Status == booking.Expired:
		// The slot may be taken again, if it is still free.
		_, err := e.bookings.Retake(ctx, e.booking.ID)
		if errors.Is(err, booking.ErrSlotTaken) || errors.Is(err, booking.ErrSlotGone) {
			return p.returnUnapplied(ctx, e, ReasonLate)
		}
		if err != nil {
			return "", err
		}
	case e.booking.Status == booking.Cancelled:
		return p.handleAfterCancellation(ctx, e)
	}
	if err := e.record(ctx, facts{completed: true, captured: e.payment.Amount}); err != nil {
		return "", err
	}
	return webhook.Processed, p.cancelRefundedBooking(ctx, e.tx, e.bookings, e.payment.ID, e.booking.ID)
}

// afterCancellation handles money that came for a booking that was cancelled as a hold:
// what its policy keeps is kept, and the rest goes back; all of it where the customer
// began to pay only after the cancellation.
func (p *Payments) handleAfterCancellation(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	var begun time.Time
	if e.event.Type == "checkout.session.completed" {
		begun = e.event.Created
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

// processing keeps the slot for a delayed method while the customer's bank makes up its
// mind, but not beyond the booking's start.
func (p *Payments) handleProcessing(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	if e.booking.Status == booking.Pending {
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

// park records the money that came and why it cannot be applied. The booking stays as it
// is.
func (p *Payments) park(ctx context.Context, e lockedEvent, reason string) (webhook.Outcome, error) {
	f := facts{completed: true, parked: reason}
	if total, known := e.session.total(); known && e.session.paid() {
		f.captured = total
	}
	p.log.LogAttrs(ctx, slog.LevelWarn, "payment parked for an operator", slog.String("payment_id", e.payment.ID),
		slog.String("booking_id", e.booking.ID), slog.String("reason", reason))
	return webhook.Parked, e.record(ctx, f)
}

// asyncFailed handles a delayed method that was refused: the slot is free again.
func (p *Payments) handleAsyncFailed(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	if err := e.record(ctx, facts{completed: true, failed: true}); err != nil {
		return "", err
	}
	return webhook.Processed, e.releaseHold(ctx)
}

// expired handles a Checkout that nobody paid in time: the slot is free again.
func (p *Payments) handleExpired(ctx context.Context, e lockedEvent) (webhook.Outcome, error) {
	if err := e.record(ctx, facts{expired: true}); err != nil {
		return "", err
	}
	return webhook.Processed, e.releaseHold(ctx)
}

// releaseHold ends a hold that no other Checkout Session of the booking can still pay for.
func (e lockedEvent) releaseHold(ctx context.Context) error {
	var alive bool
	if err := e.tx.QueryRowContext(ctx, othersAliveSQL, e.booking.ID, e.payment.ID).Scan(&alive); err != nil || alive {
		return err
	}
	return ignoreNotPending(e.bookings.Expire(ctx, e.booking.ID))
}

// lockedEvent is one event about one payment, with its booking locked until the transaction
// ends. The payment was read before the lock: of it, only what never changes is to be
// used.
type lockedEvent struct {
	tx       Tx
	bookings *booking.Tx
	event    webhook.Event
	session  checkoutSession
	payment  Payment
	booking  booking.Booking
}

// withLockedBooking locks the booking of a payment and lets the step decide.
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

// actingAs names an actor where the caller has not.
func actingAs(ctx context.Context, actor string) context.Context {
	if booking.Actor(ctx) != "" {
		return ctx
	}
	return booking.WithActor(ctx, actor)
}

// noPayment is the outcome of a Checkout Session's event that matches no payment. A
// session of ours carries our payment's id as its reference, and a success_url below our
// own address: an event without them is of another product, or another installation, on
// the same Stripe account, and is ignored. Where the object does not say which
// success_url its session has, the reference decides.
func (p *Payments) noPayment(ev webhook.Event) webhook.Outcome {
	if uuid.Validate(ev.Reference) != nil {
		return webhook.Ignored
	}
	var session struct {
		SuccessURL json.RawMessage `json:"success_url"`
	}
	// What cannot be read is not known.
	if json.Unmarshal(ev.Object, &session) != nil || session.SuccessURL == nil {
		return webhook.Unmatched
	}
	var url string
	if json.Unmarshal(session.SuccessURL, &url) != nil || !strings.HasPrefix(url, p.appURL+"/") {
		return webhook.Ignored
	}
	return webhook.Unmatched
}

// unapplied records money that cannot be applied to its booking, and why, and commits to
// give it back in full: once, because the reason is the refund's cause. While a dispute
// of it is open it only records; makeDue follows when that is over. The booking stays as
// it is.
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

// A booking that was refunded in full, and not by us alone: somebody at Stripe has
// decided that it is off.
const refundedAtStripeSQL = `
SELECT p.captured_minor > 0 AND p.refunded_minor >= p.captured_minor AND NOT p.parked AND p.unapplied = ''
   AND EXISTS (SELECT FROM booking_platform.refunds r
               WHERE r.payment_id = p.id AND r.origin = 'stripe' AND r.status IN ('pending', 'succeeded')),
       lower(b.during) > statement_timestamp()
FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id WHERE p.id = $1::uuid`

// cancelRefundedBooking cancels a booking that lies ahead when it was refunded in full at Stripe.
// It is asked after every event of a payment and of its refunds, so that it makes no
// difference which of them comes first. The booking is locked.
func (p *Payments) cancelRefundedBooking(ctx context.Context, q booking.Querier, bookings *booking.Tx, paymentID,
	bookingID string) error {
	if p.opts.KeepRefunded {
		return nil
	}
	var off, ahead bool
	err := q.QueryRowContext(ctx, refundedAtStripeSQL, paymentID).Scan(&off, &ahead)
	if err != nil || !off || !ahead {
		return err
	}
	b, err := bookings.Get(ctx, bookingID)
	if err != nil || b.Status != booking.Confirmed {
		return err
	}
	_, err = bookings.Cancel(ctx, booking.CancelRequest{ID: bookingID, Reason: "refunded in full at Stripe"})
	return err
}
