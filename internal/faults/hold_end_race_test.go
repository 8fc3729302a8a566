package faults_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments/stripetest"
	"github.com/booking-platform/booking-platform/webhook"
)

// A payment's event, the release of its hold and a second customer's hold meet at one
// slot. The booking is confirmed or the payment refunded in full, never neither. Both
// outcomes have to occur, so there are 200 races: three in ten end with a confirmation.
func TestRace_PaymentAtTheHoldsLastMoment(t *testing.T) {
	t.Parallel()
	const races, workers = 200, 8
	w := newEnv(t, setup{undelivered: true, pool: 8, webhook: webhook.Options{Prepare: true}})
	var next, secondGot atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for n := int(next.Add(1)); n <= races && !t.Failed(); n = int(next.Add(1)) {
				if w.race(n) {
					secondGot.Add(1)
				}
			}
		})
	}
	all.Wait()
	w.settle()

	var confirmed, refunded int
	require.NoError(t, w.db.QueryRowContext(t.Context(), `SELECT count(*) FILTER (WHERE b.status = 'confirmed'
		AND p.unapplied = '' AND p.refunded_minor = 0),
		count(*) FILTER (WHERE b.status = 'expired' AND p.unapplied <> '' AND p.refunded_minor = p.captured_minor)
		FROM booking_platform.payments p JOIN booking_platform.bookings b ON b.id = p.booking_id`).Scan(&confirmed,
		&refunded))
	t.Logf("%d payments: %d confirmed, %d refunded", races, confirmed, refunded)
	require.Equal(t, races, confirmed+refunded)
	require.EqualValues(t, refunded, secondGot.Load(),
		"the second customer gets the slot exactly where the first was refunded")
	require.Positive(t, confirmed)
	require.Positive(t, refunded)
	require.Equal(t, stripetest.Money{Captured: races * price, Refunded: int64(refunded) * price},
		w.stripe.Balance()["eur"])
	w.faultOccurred(min(confirmed, refunded))
	w.checkInvariants()
}

func (w *testEnv) race(n int) bool {
	b, c := w.checkedOut(n)
	w.pay(c)
	payload := w.eventsOf(c.SessionID)[0].Payload
	w.endHold(b)
	var all sync.WaitGroup
	all.Go(func() {
		if a := w.deliver(n, payload); a.Status != 200 {
			w.t.Error(a)
		}
	})
	all.Go(func() {
		if _, err := w.hosts[(n+1)%3].bookings.ReleaseExpired(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	})
	var err error
	all.Go(func() {
		_, err = w.hosts[(n+2)%3].bookings.Hold(w.t.Context(),
			booking.HoldRequest{Resource: w.resource.ID, Start: slot(n), Customer: ada})
	})
	all.Wait()
	if err != nil && !errors.Is(err, booking.ErrSlotTaken) {
		w.t.Error(err)
	}
	return err == nil
}
