package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
)

// settle has the booking paid for and looks at what became of it.
func (v *visitor) settle(ctx context.Context, t *trial, standIn bool) (found []Finding, paid bool) {
	wait := tidyLimit
	if standIn {
		if f := v.payAtStandIn(ctx, t); f != nil {
			return []Finding{*f}, false
		}
		found = append(found, ok(PayCheckout, "paid on the stand-in's page"))
	} else {
		// A hosted Checkout can be paid for by nobody but who opens its page: Stripe's
		// API has no call for it.
		wait = v.Wait
		v.Say("Pay with Stripe's test card, 4242 4242 4242 4242, within " + v.Wait.String() + ": " + t.URL)
		found = append(found, ok(PayCheckout, "Stripe has made the Checkout Session, for a person to pay"))
	}
	b, err := v.until(ctx, t, wait, func(b shown) bool { return b.Status == "confirmed" })
	if err != nil {
		return append(found, failed(PayConfirmed, err)), false
	}
	if b.Status != "confirmed" || b.Payment.Status != "paid" || b.Payment.AmountPaid != b.Amount {
		return append(found, problem(PayConfirmed,
			fmt.Sprintf("the booking is %s and its payment %s, %s after the Checkout", b.Status, b.Payment.Status,
				wait),
			"Run host doctor where the host runs, and look in Stripe's dashboard whether the event was delivered and what the host answered.")), b.Payment.AmountPaid > 0
	}
	found = append(found, ok(PayConfirmed, "the booking is confirmed and paid for"))
	return append(found, v.once(ctx, t)), true
}

// payAtStandIn presses the button. The page is asked for where the host is, whatever its
// public address.
func (v *visitor) payAtStandIn(ctx context.Context, t *trial) *Finding {
	var r reply
	u, err := url.Parse(t.URL)
	if err == nil {
		r, err = v.request(ctx, http.MethodPost, u.Path, "action=pay", "Content-Type",
			"application/x-www-form-urlencoded")
	}
	if err != nil {
		f := failed(PayCheckout, err)
		return &f
	}
	if r.status != http.StatusSeeOther {
		f := problem(PayCheckout, fmt.Sprintf("paying on the stand-in's page is answered %d", r.status),
			"Look for the request in the host's log.")
		return &f
	}
	return nil
}

// until looks at the booking again and again, until it is as it should be or the time is
// over, and returns what was seen last.
func (v *visitor) until(ctx context.Context, t *trial, limit time.Duration,
	done func(shown) bool) (b shown, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	seen := false
	for {
		r, asked := v.get(ctx, "/api/bookings/"+t.ID, "Authorization", "Bearer "+t.Token)
		if asked == nil && r.status != http.StatusOK {
			asked = fmt.Errorf("the booking is answered %d (%s)", r.status, codeOf(r))
		}
		if asked == nil {
			var now shown
			if asked = r.into(&now); asked == nil {
				b, seen = now, true
			}
			if asked == nil && done(b) {
				return b, nil
			}
		}
		select {
		case <-ctx.Done():
			if seen {
				return b, nil
			}
			return b, asked
		case <-tick.C:
		}
	}
}

const onceSQL = `
SELECT
	(SELECT count(*) FROM booking_platform.bookings b WHERE b.id = $1::uuid),
	(SELECT count(*) FROM booking_platform.bookings b WHERE b.id = $1::uuid AND b.status = 'confirmed'),
	(SELECT count(*) FROM booking_platform.payments p WHERE p.booking_id = $1::uuid AND p.captured_minor = p.amount_minor),
	(SELECT count(*) FROM booking_platform.payment_events e
		WHERE e.receiver = $3::text AND e.stripe_session_id = $2::text AND e.type = 'checkout.session.completed' AND e.outcome = 'processed')`

// once counts in the database, where there is one: one booking, one payment, one row of
// the ledger.
func (v *visitor) once(ctx context.Context, t *trial) Finding {
	const remedy = "Run this where the environment has the host's DATABASE_URL, to have payment and ledger counted."
	if v.DB == nil {
		return warning(PayOnce, "not counted: the environment names no database", remedy)
	}
	var there, confirmed, payments, events int
	for try := 0; ; try++ {
		one, cancel := context.WithTimeout(ctx, v.Timeout)
		err := v.DB.QueryRowContext(one, onceSQL, t.ID, t.StripeSessionID, config.ReceiverName).Scan(&there, &confirmed,
			&payments, &events)
		cancel()
		if err != nil {
			return warning(PayOnce, "not counted: the database of the environment cannot be asked: "+err.Error(),
				remedy)
		}
		// The host may have asked Stripe before the event came: it is on its way.
		if there == 0 || events > 0 || try == 20 {
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
	case there == 0:
		return warning(PayOnce, "not counted: the database of the environment is not the host's", remedy)
	case confirmed != 1 || payments != 1 || events != 1:
		return problem(PayOnce, counted+", and not one of each", "Look for the event with host events list, and at Stripe whether it was delivered; the host's log has its id.")
	}
	return ok(PayOnce, counted)
}

// undo cancels the booking and sees that the slot is free and the money back.
func (v *visitor) undo(ctx context.Context, t *trial, paid bool) []Finding {
	r, err := v.request(ctx, http.MethodPost, "/api/bookings/"+t.ID+"/cancel", "", "Authorization", "Bearer "+t.Token)
	if err != nil {
		return []Finding{failed(PayCancelled, err)}
	}
	var b shown
	if r.status != http.StatusOK || r.into(&b) != nil || b.Status != "cancelled" {
		return []Finding{problem(PayCancelled,
			fmt.Sprintf("cancelling booking %s is answered %d (%s)", t.ID, r.status, codeOf(r)),
			"Cancel it by hand: log in at /dashboard as ADMIN or OPS.")}
	}
	at, err := time.Parse(time.RFC3339, t.start)
	if err != nil {
		return []Finding{failed(PayCancelled, err)}
	}
	slots, err := v.freeSlots(ctx, t.resource, at.Add(-time.Minute), at.Add(time.Minute))
	if err != nil {
		return []Finding{failed(PayCancelled, err)}
	}
	if !slices.Contains(slots, t.start) {
		return []Finding{problem(PayCancelled,
			"the booking is cancelled, and its slot is not free: "+strings.Join(slots, ", "),
			"See whether somebody has booked it since; if nobody has, report this with the host's log.")}
	}
	found := []Finding{ok(PayCancelled, "the booking is cancelled and its slot free again")}
	if !paid {
		return found
	}
	b, err = v.until(ctx, t, tidyLimit, func(b shown) bool { return b.Payment.AmountRefunded == b.Amount })
	switch {
	case err != nil:
		return append(found, failed(PayRefunded, err))
	case b.Payment.AmountRefunded != b.Amount:
		return append(found, problem(PayRefunded,
			fmt.Sprintf("%d of %d have gone back within %s", b.Payment.AmountRefunded, b.Amount, tidyLimit),
			"Look for payments.SettleRefunds in the host's log, and run host doctor where the host runs."))
	}
	return append(found, ok(PayRefunded, "the money has gone back"))
}
