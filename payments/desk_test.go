package payments_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

func cash(b booking.Booking) payments.DeskPayment {
	return payments.DeskPayment{BookingID: b.ID, Amount: b.Amount, Method: "cash", Reference: "receipt 17",
		Actor: "user:ops@example.com"}
}

func (w *world) desk(b booking.Booking) payments.Payment {
	w.t.Helper()
	pay, err := w.payments.RecordDesk(w.t.Context(), cash(b))
	require.NoError(w.t, err)
	return pay
}

func TestRecordDesk_ConfirmsAndRefundsByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	b := w.hold(0)
	pay := w.desk(b)
	require.Equal(t, payments.StatusPaid, pay.Status())
	require.Equal(t, payments.KindDesk, pay.Kind)
	require.True(t, pay.Applied())
	require.Equal(t, []string{"cash", "receipt 17", "user:ops@example.com"},
		[]string{pay.Method, pay.Reference, pay.Actor})
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	history, err := w.bookings.History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, "user:ops@example.com", history[len(history)-1].Actor)
	require.Equal(t, pay.ID, w.desk(b).ID, "a repeat")
	differs := cash(b)
	differs.Reference = "receipt 18"
	_, err = w.payments.RecordDesk(t.Context(), differs)
	require.ErrorIs(t, err, payments.ErrNotPayable)

	_, err = w.payments.Cancel(booking.WithActor(t.Context(), "customer"), booking.CancelRequest{ID: b.ID})
	require.NoError(t, err)
	refunds, err := w.payments.Refunds(t.Context(), pay.ID)
	require.NoError(t, err)
	require.Len(t, refunds, 1)
	require.True(t, refunds[0].ByHand)
	require.Equal(t, payments.RefundDue, refunds[0].Status)
	require.Equal(t, payments.StatusPaid, w.payment(b.ID).Status(), "not paid back yet")

	// No step sends it to Stripe, also not after a retry.
	retried, err := w.payments.RetryRefund(t.Context(), refunds[0].ID, "operator")
	require.NoError(t, err)
	require.Equal(t, refunds[0], retried)
	for _, step := range []func(context.Context) (int, error){w.payments.SettleRefunds, w.payments.RefreshRefunds,
		w.payments.ReconcilePayments, w.payments.ExpireSessions, w.payments.DiscoverRefunds} {
		n, err := step(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
	}
	backlog, err := w.payments.Backlog(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, backlog.RefundsByHand.Count)
	require.Zero(t, backlog.RefundsDue.Count+backlog.RefundsStuck.Count+backlog.Overdue.Count)
	attention, err := w.payments.RefundsNeedingAttention(t.Context())
	require.NoError(t, err)
	require.Equal(t, refunds, attention)

	paid := payments.PaidRefund{RefundID: refunds[0].ID, Reference: "receipt 19", Actor: "user:ops@example.com"}
	for range 2 {
		r, err := w.payments.MarkRefundPaid(t.Context(), paid)
		require.NoError(t, err)
		require.Equal(t, payments.RefundSucceeded, r.Status)
		require.Equal(t, "receipt 19", r.Reference)
		require.Equal(t, "user:ops@example.com", r.SettledBy)
	}
	after := w.payment(b.ID)
	require.Equal(t, payments.StatusRefunded, after.Status())
	require.Equal(t, int64(price), after.Refunded.Minor)
	backlog, err = w.payments.Backlog(t.Context())
	require.NoError(t, err)
	require.Zero(t, backlog.RefundsByHand.Count)
	require.Empty(t, w.stripe.Charges())
	require.Empty(t, w.stripe.Refunds())
	_, err = w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: pay.ID, Cause: "again"})
	require.ErrorIs(t, err, payments.ErrNothingToRefund)
}

func TestRecordDesk_Refusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	record := func(b booking.Booking, change func(*payments.DeskPayment)) error {
		d := cash(b)
		if change != nil {
			change(&d)
		}
		_, err := w.payments.RecordDesk(t.Context(), d)
		return err
	}
	b := w.hold(0)
	for field, change := range map[string]func(*payments.DeskPayment){
		"amount":    func(d *payments.DeskPayment) { d.Amount.Minor-- },
		"method":    func(d *payments.DeskPayment) { d.Method = "" },
		"reference": func(d *payments.DeskPayment) { d.Reference = "\x00" },
		"actor":     func(d *payments.DeskPayment) { d.Actor = "\n" },
	} {
		var invalid *booking.ValidationError
		require.ErrorAs(t, record(b, change), &invalid, field)
		require.Contains(t, invalid.Fields, field)
	}
	var invalid *booking.ValidationError
	require.ErrorAs(t, record(b, func(d *payments.DeskPayment) { d.Amount.Currency = "usd" }), &invalid)
	require.Contains(t, invalid.Fields["amount"], "25.00 EUR")
	require.Equal(t, booking.StatusPending, w.status(b.ID))

	// A hold that has expired takes its slot again, unless it was sold.
	release := func(b booking.Booking) {
		w.endHold(b.ID)
		_, err := w.bookings.ReleaseExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, booking.StatusExpired, w.status(b.ID))
	}
	release(b)
	require.NoError(t, record(b, nil))
	require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	sold := w.hold(1)
	release(sold)
	other := w.hold(1)
	require.ErrorIs(t, record(sold, nil), booking.ErrSlotTaken)
	_, err := w.payments.ForBooking(t.Context(), sold.ID)
	require.ErrorIs(t, err, payments.ErrNotFound, "nothing is recorded")
	require.NoError(t, record(other, nil))

	cancelled := w.hold(2)
	_, err = w.bookings.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
	require.NoError(t, err)
	require.ErrorIs(t, record(cancelled, nil), payments.ErrNotPayable)
	paid := w.hold(3)
	w.pay(w.checkout(paid))
	require.ErrorIs(t, record(paid, nil), payments.ErrNotPayable)
	delayed := w.hold(4)
	_, err = w.stripe.PayDelayed(t.Context(), w.checkout(delayed).SessionID)
	require.NoError(t, err)
	require.ErrorIs(t, record(delayed, nil), payments.ErrNotPayable)
	require.ErrorIs(t, record(booking.Booking{ID: "x", Amount: paid.Amount}, nil), booking.ErrNotFound)

	// Confirmed before it was paid.
	unpaid := w.hold(5)
	_, err = w.bookings.Confirm(t.Context(), unpaid.ID)
	require.NoError(t, err)
	require.NoError(t, record(unpaid, nil))

	_, err = w.payments.MarkRefundPaid(t.Context(), payments.PaidRefund{RefundID: "x"})
	require.ErrorIs(t, err, payments.ErrNotFound)
	_, err = w.payments.MarkRefundPaid(t.Context(), payments.PaidRefund{RefundID: paid.ID})
	require.ErrorIs(t, err, payments.ErrNotFound)
	_, err = w.payments.MarkRefundPaid(t.Context(), payments.PaidRefund{Reference: "\x00"})
	require.ErrorAs(t, err, &invalid)
	r, err := w.payments.Refund(t.Context(), payments.RefundRequest{PaymentID: w.payment(paid.ID).ID, Cause: "rain"})
	require.NoError(t, err)
	_, err = w.payments.MarkRefundPaid(t.Context(), payments.PaidRefund{RefundID: r.ID})
	require.ErrorIs(t, err, payments.ErrNotByHand)
}

// A customer who pays all the same is refunded.
func TestRecordDesk_OpenAtStripe(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	open, paid, intent := w.hold(0), w.hold(1), w.hold(2)
	c, late := w.checkout(open), w.checkout(paid)
	id := w.adopt(intent)
	for _, b := range []booking.Booking{open, paid, intent} {
		w.desk(b)
	}
	w.pay(late)
	n, err := w.payments.ExpireSessions(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	ended, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	require.Equal(t, stripetest.Expired, ended.Status)
	at, err := w.stripe.PaymentIntent(id)
	require.NoError(t, err)
	require.Equal(t, stripetest.IntentCanceled, at.Status)
	twice, err := w.payments.BySession(t.Context(), late.SessionID)
	require.NoError(t, err)
	require.Equal(t, payments.ReasonPaidTwice, twice.Unapplied)
	n, err = w.payments.SettleRefunds(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, w.stripe.Balance()["eur"].Kept())
	for _, b := range []booking.Booking{open, paid, intent} {
		require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
		require.Equal(t, payments.KindDesk, w.payment(b.ID).Kind)
	}
}

// One of them pays for the booking.
func TestRecordDesk_Concurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	for round := range 5 {
		b := w.hold(round)
		id := w.adopt(b)
		var all sync.WaitGroup
		errs := make([]error, 4)
		for n := range errs {
			all.Go(func() { _, errs[n] = w.payments.RecordDesk(context.WithoutCancel(t.Context()), cash(b)) })
		}
		all.Go(func() { w.payIntent(id) })
		all.Wait()
		w.delivered()
		pay, err := w.payments.ByIntent(t.Context(), id)
		require.NoError(t, err)
		for _, err := range errs {
			if pay.Unapplied == "" {
				require.ErrorIs(t, err, payments.ErrNotPayable)
			} else {
				require.NoError(t, err)
			}
		}
		require.Equal(t, booking.StatusConfirmed, w.status(b.ID))
	}
}

func TestBookPaid_Ways(t *testing.T) {
	t.Parallel()
	secrets, err := booking.DeriveOwnerSecrets([]string{"0123456789abcdef0123456789abcdef"})
	require.NoError(t, err)
	w := newWorld(t, setup{capacity: 2, secrets: secrets})
	req := func(nth int) booking.HoldRequest {
		return booking.HoldRequest{Resource: "room", Start: slot(nth), Customer: ada}
	}
	ctx := booking.WithActor(t.Context(), "operator")
	desk := req(0)
	desk.IdempotencyKey = "command"
	var first payments.Booked
	for range 2 {
		booked, err := w.payments.BookPaid(ctx, desk, payments.PaidBy{Desk: &payments.DeskPayment{Method: "cash"}})
		require.NoError(t, err)
		require.Equal(t, booking.StatusConfirmed, booked.Booking.Status)
		require.Equal(t, payments.KindDesk, w.payment(booked.Booking.ID).Kind)
		require.Equal(t, w.payments.BookingURL(booked.Booking.ID, booked.Booking.OwnerToken), booked.URL)
		if first.URL == "" {
			first = booked
		}
		require.Equal(t, first.URL, booked.URL)
	}
	_, err = w.payments.BookPaid(ctx, req(1), payments.PaidBy{})
	require.ErrorIs(t, err, payments.ErrNotPayable, "it costs something")
	var invalid *booking.ValidationError
	_, err = w.payments.BookPaid(ctx, req(1), payments.PaidBy{Desk: &payments.DeskPayment{}})
	require.ErrorAs(t, err, &invalid)
	free := w.newResource("free", 0, 1)
	nothing := req(0)
	nothing.Resource = free.ID
	booked, err := w.payments.BookPaid(ctx, nothing, payments.PaidBy{})
	require.NoError(t, err)
	require.Equal(t, booking.StatusConfirmed, booked.Booking.Status)
	nothing.Start = slot(1)
	_, err = w.payments.BookPaid(ctx, nothing, payments.PaidBy{Desk: &payments.DeskPayment{Method: "cash"}})
	require.ErrorIs(t, err, payments.ErrNotPayable)

	unpaid := w.intent(price, "eur", "")
	_, err = w.payments.BookPaid(ctx, req(2), payments.PaidBy{StripeID: unpaid})
	require.ErrorIs(t, err, payments.ErrNotPayable)
	dear := w.intent(price+1, "eur", "")
	w.payIntent(dear)
	var amount *payments.AmountError
	_, err = w.payments.BookPaid(ctx, req(2), payments.PaidBy{StripeID: dear})
	require.ErrorAs(t, err, &amount)
	_, err = w.payments.BookPaid(ctx, req(2), payments.PaidBy{StripeID: "pi_unknown"})
	require.ErrorIs(t, err, payments.ErrNotFound)
	var held int
	require.NoError(t, w.db.QueryRowContext(t.Context(),
		`SELECT count(*) FROM booking_platform.bookings WHERE status = 'pending'`).Scan(&held))
	require.Zero(t, held, "a refusal leaves no hold")

	w.payIntent(unpaid)
	paid, err := w.payments.BookPaid(ctx, req(2), payments.PaidBy{StripeID: unpaid})
	require.NoError(t, err)
	again, err := w.payments.BookPaid(ctx, req(2), payments.PaidBy{StripeID: unpaid})
	require.NoError(t, err)
	require.Equal(t, paid.Booking.ID, again.Booking.ID)
	_, err = w.payments.BookPaid(ctx, req(3), payments.PaidBy{StripeID: unpaid})
	require.ErrorIs(t, err, payments.ErrAdopted, "it pays for another time")
}

// A restore lost the bookings of a paid Checkout and of a paid PaymentIntent. Several
// operators enter them at once, while customers try for the slot. No event that waits or
// comes is refunded or applied twice.
func TestBookPaid_AfterRestore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{stripe: stripetest.Options{IntentEvents: true, Deliver: lostEvents}, capacity: 1})
	lost, adopted := w.hold(0), w.hold(1)
	c := w.checkout(lost)
	id := w.adopt(adopted)
	w.pay(c)
	w.payIntent(id)
	// The backup is older than both.
	w.exec(`TRUNCATE booking_platform.payments, booking_platform.bookings CASCADE`)
	session, err := w.stripe.Session(c.SessionID)
	require.NoError(t, err)
	told := w.stripe.Events()
	for _, e := range told {
		w.sendRaw(e.Payload)
	}
	require.Equal(t, 1, w.outcomes()["checkout.session.completed unmatched"])
	require.Equal(t, 1, w.outcomes()["payment_intent.succeeded unmatched"])
	require.Equal(t, 1, w.outcomes()["payment_intent.succeeded ignored"])

	for nth, ids := range [][]string{{c.SessionID, session.PaymentIntentID}, {id, id}} {
		var all sync.WaitGroup
		made := make([]payments.Booked, 6)
		errs := make([]error, len(made))
		for n := range made {
			all.Go(func() {
				made[n], errs[n] = w.payments.BookPaid(context.WithoutCancel(t.Context()), booking.HoldRequest{
					Resource: "room", Start: slot(nth), Customer: ada}, payments.PaidBy{StripeID: ids[n%2]})
			})
		}
		var taken []string
		var mu sync.Mutex
		for range 4 {
			all.Go(func() {
				b, err := w.bookings.Hold(context.WithoutCancel(t.Context()), booking.HoldRequest{
					Resource: "room", Start: slot(nth), Customer: booking.Customer{FirstName: "Eve", LastName: "E",
						Email: "eve@example.com"}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					taken = append(taken, b.ID)
				}
			})
		}
		all.Wait()
		for _, b := range taken {
			// A customer was faster: nothing was changed for the others.
			for n := range made {
				require.ErrorIs(t, errs[n], booking.ErrSlotTaken)
			}
			_, err := w.bookings.Release(t.Context(), b)
			require.NoError(t, err)
			for n := range made {
				made[n], errs[n] = w.payments.BookPaid(t.Context(), booking.HoldRequest{
					Resource: "room", Start: slot(nth), Customer: ada}, payments.PaidBy{StripeID: ids[n%2]})
			}
		}
		for n := range made {
			require.NoError(t, errs[n])
			require.Equal(t, made[0].Booking.ID, made[n].Booking.ID)
		}
	}
	restored, err := w.payments.BySession(t.Context(), c.SessionID)
	require.NoError(t, err)
	require.Equal(t, c.PaymentID, restored.ID, "the id that Stripe's events name")
	require.Equal(t, payments.KindCheckout, restored.Kind)
	before := w.outcomes()
	w.retryWaiting()
	for _, e := range told {
		w.sendRaw(e.Payload)
	}
	require.NotEqual(t, before, w.outcomes())
	require.Equal(t, 1, w.outcomes()["checkout.session.completed processed"])
	require.Equal(t, 1, w.outcomes()["payment_intent.succeeded processed"])
	for _, step := range []func(context.Context) (int, error){w.payments.RefreshRefunds, w.payments.SettleRefunds,
		w.payments.ReconcilePayments, w.payments.ExpireSessions} {
		_, err := step(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, int64(2*price), w.stripe.Balance()["eur"].Kept())
	require.Empty(t, w.stripe.Refunds())
	require.Equal(t, payments.StatusPaid, w.payment(restored.BookingID).Status())
}

// They get one booking.
func TestBookPaid_Concurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{capacity: 1})
	for round := range 4 {
		id := w.intent(price, "eur", "")
		w.payIntent(id)
		var all sync.WaitGroup
		made, errs := make([]payments.Booked, 6), make([]error, 6)
		for n := range made {
			all.Go(func() {
				made[n], errs[n] = w.payments.BookPaid(context.WithoutCancel(t.Context()), booking.HoldRequest{
					Resource: "room", Start: slot(round), Customer: ada}, payments.PaidBy{StripeID: id})
			})
		}
		all.Wait()
		for n := range made {
			require.NoError(t, errs[n])
			require.Equal(t, made[0].Booking.ID, made[n].Booking.ID)
		}
	}
}

// A repeat about another booking or payment gets neither the first booking nor a success
// that hides the second payment.
func TestBookPaid_NotTheSame(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{})
	w.newResource("other", price, 1)
	one, two := w.intent(price, "eur", ""), w.intent(price, "eur", "")
	w.payIntent(one)
	w.payIntent(two)
	req := booking.HoldRequest{Resource: "room", Start: slot(0), Customer: ada, IdempotencyKey: "key"}
	first, err := w.payments.BookPaid(t.Context(), req, payments.PaidBy{StripeID: one})
	require.NoError(t, err)
	for _, name := range []string{"room", w.resource.ID, strings.ToUpper(w.resource.ID)} {
		req.Resource = name
		again, err := w.payments.BookPaid(t.Context(), req, payments.PaidBy{StripeID: one})
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	req.Resource = "other"
	_, err = w.payments.BookPaid(t.Context(), req, payments.PaidBy{StripeID: one})
	require.ErrorIs(t, err, payments.ErrAdopted, "it pays for the room")

	req.Resource = "room"
	cash := payments.PaidBy{Desk: &payments.DeskPayment{Method: "cash", Reference: "receipt 17"}}
	for _, by := range []payments.PaidBy{{StripeID: two}, cash, {}} {
		_, err = w.payments.BookPaid(t.Context(), req, by)
		require.ErrorIs(t, err, payments.ErrNotPayable, "%+v", by)
	}
	_, err = w.payments.ByIntent(t.Context(), two)
	require.ErrorIs(t, err, payments.ErrNotFound)

	req.Start, req.IdempotencyKey = slot(1), "desk"
	first, err = w.payments.BookPaid(t.Context(), req, cash)
	require.NoError(t, err)
	require.NotEmpty(t, first.PaymentID)
	again, err := w.payments.BookPaid(t.Context(), req, cash)
	require.NoError(t, err)
	require.Equal(t, first, again)
	cash.Desk.Reference = "receipt 18"
	_, err = w.payments.BookPaid(t.Context(), req, cash)
	require.ErrorIs(t, err, payments.ErrNotPayable, "the customer paid twice")
}
