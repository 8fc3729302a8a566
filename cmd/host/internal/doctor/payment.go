package doctor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// cleanupTimeout bounds cancelling the booking, and waiting for what a host does within
// seconds.
const cleanupTimeout = 45 * time.Second

// testBooking is the booking of a test payment.
type testBooking struct {
	ID              string `json:"id"`
	URL             string `json:"url"`
	Token           string `json:"token"`
	StripeSessionID string `json:"stripeSessionId"`
	Status          string `json:"status"`
	start, resource string
}

// bookingState is the booking as its owner sees it.
type bookingState struct {
	Status  string `json:"status"`
	Amount  int64  `json:"amount"`
	Payment struct {
		Status         string `json:"status"`
		AmountPaid     int64  `json:"amountPaid"`
		AmountRefunded int64  `json:"amountRefunded"`
	} `json:"payment"`
}

// pay books a slot, has it paid for, checks the result, and cancels the booking.
func (t *smokeTest) pay(ctx context.Context) []Finding {
	fake, refused := t.payMode(ctx)
	if refused != nil {
		return []Finding{*refused}
	}
	resource, start, bad := t.slot(ctx)
	if bad != nil {
		return []Finding{*bad}
	}
	b, bad := t.book(ctx, resource, start)
	if bad != nil {
		return []Finding{*bad}
	}
	found := []Finding{ok(PaySlot, "booked "+resource+" at "+start)}
	paid := false
	if !fake && !strings.HasPrefix(b.StripeSessionID, "cs_test_") {
		found = append(found, problem(PayMode,
			"the host is in Stripe's live mode: nothing was paid, and the booking is cancelled",
			"Make a test payment only on a host with a key of test mode (sk_test_…)."))
	} else {
		found = append(found, ok(PayMode, "test mode"))
		var more []Finding
		more, paid = t.checkout(ctx, b, fake)
		found = append(found, more...)
	}
	// Also after an interrupt.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	return append(found, t.cleanup(ctx, b, paid)...)
}

// payMode refuses a payment that could move real money. fake reports the built-in
// stand-in, which only a host in development has.
func (t *smokeTest) payMode(ctx context.Context) (fake bool, refused *Finding) {
	refuse := func(found string) *Finding {
		f := problem(PayMode, found, "Make a test payment only on a host in test mode, with its STRIPE_SECRET_KEY "+
			"(sk_test_…) in the environment of this command.")
		return &f
	}
	if mode(t.StripeKey) == "live" {
		return false, refuse("STRIPE_SECRET_KEY is a live one: nothing was booked")
	}
	r, err := t.get(ctx, "/stripe/v1/events")
	if err != nil {
		f := failed(PayMode, err)
		return false, &f
	}
	if r.status == http.StatusUnauthorized && strings.Contains(r.header.Get("WWW-Authenticate"), "Stripe") {
		return true, nil
	}
	if mode(t.StripeKey) != "test" {
		return false, refuse("the host has no stand-in for Stripe, and there is no test key: nothing was booked")
	}
	return false, nil
}

// slot chooses the last free slot that can be cancelled without a fee.
func (t *smokeTest) slot(ctx context.Context) (resource, start string, bad *Finding) {
	no := func(found, remedy string) (string, string, *Finding) {
		f := problem(PaySlot, found, remedy)
		return "", "", &f
	}
	var all struct {
		Items []struct {
			Slug   string `json:"slug"`
			Amount int64  `json:"amount"`
			Policy struct {
				Cancellable      bool `json:"cancellable"`
				FreeUntilMinutes int  `json:"freeUntilMinutes"`
			} `json:"policy"`
		} `json:"items"`
	}
	r, err := t.get(ctx, "/api/resources")
	if err != nil || r.status != http.StatusOK || r.decode(&all) != nil {
		return no(fmt.Sprintf("the resources could not be listed (%d)", r.status),
			"Find the request in the host's log.")
	}
	const which = "Name one that is not free and that customers may cancel: --resource slug."
	if t.Resource == "" && len(all.Items) == 1 {
		t.Resource = all.Items[0].Slug
	}
	for _, item := range all.Items {
		if item.Slug != t.Resource {
			continue
		}
		if item.Amount == 0 || !item.Policy.Cancellable {
			return no(item.Slug+" costs nothing, or cannot be cancelled by customers: nothing was booked", which)
		}
		start, err := t.lastFree(ctx, item.Slug,
			time.Now().Add(time.Duration(item.Policy.FreeUntilMinutes)*time.Minute))
		if err != nil || start == "" {
			return no(item.Slug+" has no free slot within seven weeks that can be cancelled without a fee",
				"Name another resource: --resource slug.")
		}
		return item.Slug, start, nil
	}
	if t.Resource == "" {
		return no(fmt.Sprintf("there are %d resources: nothing was booked", len(all.Items)), which)
	}
	return no("there is no active resource "+t.Resource, which)
}

// lastFree returns the last free slot in the last of seven weeks that has one, or "".
func (t *smokeTest) lastFree(ctx context.Context, slug string, after time.Time) (string, error) {
	for week := 6; week >= 0; week-- {
		from := after.Add(time.Duration(week)*7*24*time.Hour + time.Minute)
		slots, err := t.freeSlots(ctx, slug, from, from.Add(7*24*time.Hour))
		if err != nil {
			return "", err
		}
		if len(slots) > 0 {
			return slots[len(slots)-1], nil
		}
	}
	return "", nil
}

func (t *smokeTest) freeSlots(ctx context.Context, slug string, from, to time.Time) ([]string, error) {
	query := url.Values{"from": {from.UTC().Format(time.RFC3339)}, "to": {to.UTC().Format(time.RFC3339)}}
	r, err := t.get(ctx, "/api/resources/"+url.PathEscape(slug)+"/availability?"+query.Encode())
	if err != nil {
		return nil, err
	}
	var free struct {
		Items []struct {
			Start string `json:"start"`
		} `json:"items"`
	}
	if r.status != http.StatusOK || r.decode(&free) != nil {
		return nil, fmt.Errorf("the free slots could not be listed (%d)", r.status)
	}
	var starts []string
	for _, slot := range free.Items {
		starts = append(starts, slot.Start)
	}
	return starts, nil
}

func (t *smokeTest) book(ctx context.Context, resource, start string) (*testBooking, *Finding) {
	body, err := json.Marshal(map[string]string{
		"resource": resource, "start": start, "firstName": "Host", "lastName": "Doctor", "email": "doctor@example.com",
	})
	var r reply
	if err == nil {
		r, err = t.request(ctx, http.MethodPost, "/api/bookings", string(body), "Content-Type", "application/json",
			"Idempotency-Key", "doctor-"+rand.Text())
	}
	if err != nil {
		f := failed(PaySlot, fmt.Errorf("%w; a booking of doctor@example.com may have been made, and expires", err))
		return nil, &f
	}
	b := &testBooking{start: start, resource: resource}
	if r.status != http.StatusCreated || r.decode(b) != nil || b.ID == "" || b.Token == "" {
		f := problem(PaySlot, fmt.Sprintf("booking %s at %s is answered %d (%s)", resource, start, r.status, r.code()),
			"Find the request in the host's log; payment_unavailable means that Stripe did not answer, "+
				"payment_refused "+
				"that it will refuse again.")
		return nil, &f
	}
	return b, nil
}

// checkout has the booking paid for and checks the result.
func (t *smokeTest) checkout(ctx context.Context, b *testBooking, fake bool) (found []Finding, paid bool) {
	wait := cleanupTimeout
	if fake {
		if f := t.payFake(ctx, b); f != nil {
			return []Finding{*f}, false
		}
		found = append(found, ok(PayCheckout, "paid on the stand-in's page"))
	} else {
		// Stripe's API cannot pay a Checkout Session.
		wait = t.Wait
		t.Say("Pay with Stripe's test card, 4242 4242 4242 4242, within " + t.Wait.String() + ": " + b.URL)
		found = append(found, ok(PayCheckout, "Stripe has made the Checkout Session"))
	}
	s, err := t.poll(ctx, b, wait, func(s bookingState) bool { return s.Status == "confirmed" })
	if err != nil {
		return append(found, failed(PayConfirmed, err)), false
	}
	if s.Status != "confirmed" || s.Payment.Status != "paid" || s.Payment.AmountPaid != s.Amount {
		return append(found, problem(PayConfirmed,
			fmt.Sprintf("the booking is %s and its payment %s, %s after the Checkout", s.Status, s.Payment.Status,
				wait),
			"Run host doctor on the host's machine, and check in Stripe's dashboard whether the event was "+
				"delivered and "+
				"how the host answered.")), s.Payment.AmountPaid > 0
	}
	return append(found, ok(PayConfirmed, "the booking is confirmed and paid"), t.countRows(ctx, b)), true
}

// payFake submits the stand-in's page, at the address of the host.
func (t *smokeTest) payFake(ctx context.Context, b *testBooking) *Finding {
	var r reply
	u, err := url.Parse(b.URL)
	if err == nil {
		r, err = t.request(ctx, http.MethodPost, u.Path, "action=pay", "Content-Type",
			"application/x-www-form-urlencoded")
	}
	if err != nil {
		f := failed(PayCheckout, err)
		return &f
	}
	if r.status != http.StatusSeeOther {
		f := problem(PayCheckout, fmt.Sprintf("paying on the stand-in's page is answered %d", r.status),
			"Find the request in the host's log.")
		return &f
	}
	return nil
}

// poll reads the booking until done or the timeout, and returns the last state.
func (t *smokeTest) poll(ctx context.Context, b *testBooking, timeout time.Duration,
	done func(bookingState) bool) (last bookingState, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	seen := false
	for {
		r, err := t.get(ctx, "/api/bookings/"+b.ID, "Authorization", "Bearer "+b.Token)
		if err == nil && r.status != http.StatusOK {
			err = fmt.Errorf("the booking is answered %d (%s)", r.status, r.code())
		}
		if err == nil {
			var now bookingState
			if err = r.decode(&now); err == nil {
				last, seen = now, true
			}
			if err == nil && done(last) {
				return last, nil
			}
		}
		select {
		case <-ctx.Done():
			if seen {
				return last, nil
			}
			return last, err
		case <-tick.C:
		}
	}
}

const countRowsSQL = `
SELECT
	(SELECT count(*) FROM booking_platform.bookings b WHERE b.id = $1::uuid),
	(SELECT count(*) FROM booking_platform.bookings b WHERE b.id = $1::uuid AND b.status = 'confirmed'),
	(SELECT count(*) FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND p.captured_minor = p.amount_minor),
	(SELECT count(*) FROM booking_platform.payment_events e
		WHERE e.receiver = $3::text AND e.stripe_session_id = $2::text AND e.type = 'checkout.session.completed' AND e.outcome = 'processed')`

// countRows expects one booking, one payment and one row of the ledger in the database.
func (t *smokeTest) countRows(ctx context.Context, b *testBooking) Finding {
	const remedy = "Run this with the host's DATABASE_URL in the environment to count payment and ledger."
	if t.DB == nil {
		return warning(PayOnce, "not counted: the environment has no database", remedy)
	}
	var bookings, confirmed, payments, events int
	for try := 0; ; try++ {
		one, cancel := context.WithTimeout(ctx, t.Timeout)
		err := t.DB.QueryRowContext(one, countRowsSQL, b.ID, b.StripeSessionID, config.ReceiverName).Scan(&bookings,
			&confirmed, &payments, &events)
		cancel()
		if err != nil {
			return warning(PayOnce, "not counted: the database of the environment does not answer: "+err.Error(),
				remedy)
		}
		// The event may come after the host has asked Stripe itself.
		if bookings == 0 || events > 0 || try == 20 {
			break
		}
		select {
		case <-ctx.Done():
			return failed(PayOnce, ctx.Err())
		case <-time.After(500 * time.Millisecond):
		}
	}
	counted := fmt.Sprintf("%d confirmed booking, %d payment, %d row of the ledger", confirmed, payments, events)
	switch {
	case bookings == 0:
		return warning(PayOnce, "not counted: the database of the environment is not the host's", remedy)
	case confirmed != 1 || payments != 1 || events != 1:
		return problem(PayOnce, counted+", instead of one each",
			"Find the event with host events list, and at Stripe whether it was delivered; the host's log has its id.")
	}
	return ok(PayOnce, counted)
}

// cleanup cancels the booking, and checks that the slot is free and the money refunded.
func (t *smokeTest) cleanup(ctx context.Context, b *testBooking, paid bool) []Finding {
	r, err := t.request(ctx, http.MethodPost, "/api/bookings/"+b.ID+"/cancel", "", "Authorization", "Bearer "+b.Token)
	if err != nil {
		return []Finding{failed(PayCancelled, err)}
	}
	var s bookingState
	if r.status != http.StatusOK || r.decode(&s) != nil || s.Status != "cancelled" {
		return []Finding{problem(PayCancelled,
			fmt.Sprintf("cancelling booking %s is answered %d (%s)", b.ID, r.status, r.code()),
			"Cancel it as ADMIN or OPS, with POST /api/bookings/{id}/cancel.")}
	}
	at, err := time.Parse(time.RFC3339, b.start)
	if err != nil {
		return []Finding{failed(PayCancelled, err)}
	}
	slots, err := t.freeSlots(ctx, b.resource, at.Add(-time.Minute), at.Add(time.Minute))
	if err != nil {
		return []Finding{failed(PayCancelled, err)}
	}
	if !slices.Contains(slots, b.start) {
		return []Finding{problem(PayCancelled, "the booking is cancelled, but its slot is not free",
			"Check whether another customer has booked it since; if not, report this with the host's log.")}
	}
	found := []Finding{ok(PayCancelled, "the booking is cancelled and its slot free again")}
	if !paid {
		return found
	}
	s, err = t.poll(ctx, b, cleanupTimeout, func(s bookingState) bool { return s.Payment.AmountRefunded == s.Amount })
	switch {
	case err != nil:
		return append(found, failed(PayRefunded, err))
	case s.Payment.AmountRefunded != s.Amount:
		return append(found, problem(PayRefunded,
			fmt.Sprintf("%d of %d are refunded after %s", s.Payment.AmountRefunded, s.Amount, cleanupTimeout),
			"Look for payments.SettleRefunds in the host's log, and run host doctor on the host's machine."))
	}
	return append(found, ok(PayRefunded, "the money is refunded"))
}
