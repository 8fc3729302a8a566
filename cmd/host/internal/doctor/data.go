package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

func (e *examination) adminUser(ctx context.Context) ([]Finding, error) {
	users, err := auth.NewUsers(e.DB, auth.UsersOptions{})
	if err != nil {
		return nil, err
	}
	const page = 100
	var configured auth.Account // That of ADMIN_EMAIL.
	for after := ""; ; {
		accounts, err := users.List(ctx, after, page)
		if err != nil {
			return nil, err
		}
		for _, a := range accounts {
			if a.Role == auth.RoleAdmin && a.Active {
				return []Finding{ok(AdminUser, "there is an active user with role ADMIN")}, nil
			}
			after = a.Email
			if strings.EqualFold(a.Email, e.Config.AdminEmail) {
				configured = a
			}
		}
		if len(accounts) < page {
			break
		}
	}
	switch {
	case configured.Email != "" && !configured.Active:
		return []Finding{e.inProduction(AdminUser, "the user of ADMIN_EMAIL is disabled, and no other is an active ADMIN: "+
			"a start does not enable it",
			"Run: host user enable "+configured.Email+", and host user passwd if needed.")}, nil
	case configured.Email != "":
		return []Finding{e.inProduction(AdminUser, "the user of ADMIN_EMAIL has the role "+configured.Role+
			", and no other is an active ADMIN", "Run: host user role "+configured.Email+" ADMIN.")}, nil
	case e.Config.AdminEmail != "":
		return []Finding{ok(AdminUser, "none yet: that of ADMIN_EMAIL is made when the host starts")}, nil
	case !e.Config.Production:
		return []Finding{ok(AdminUser, "none; to add one: host user add --role ADMIN you@example.com")}, nil
	}
	return []Finding{problem(AdminUser, "there is no active user with role ADMIN",
		"Run: host user add --role ADMIN you@example.com, or host user enable if one is disabled.")}, nil
}

func (e *examination) resources(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	active, err := bookings.Resources(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(active) > 0:
		return []Finding{ok(Resources, fmt.Sprintf("%d can be booked", len(active)))}, nil
	case !e.Config.Production:
		return []Finding{ok(Resources, "none; a host in development adds a sample to an empty database")}, nil
	}
	return []Finding{warning(Resources, "there is no active resource",
		"Run: host resource apply -f file (docs/resources.md).")}, nil
}

// prices finds prices that Stripe refuses. `host resource apply` refuses those that are
// never charged, so they were written by SQL.
func (e *examination) prices(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	active, err := bookings.Resources(ctx)
	if err != nil {
		return nil, err
	}
	var refused, doubtful []string
	for _, r := range active {
		var invalid *booking.ValidationError
		if errors.As(r.Validate(), &invalid) {
			for _, field := range []string{"currency", "price", "policy", "offers"} {
				if problem := invalid.Fields[field]; problem != "" {
					refused = append(refused, fmt.Sprintf("%s: %s %s", r.Slug, field, problem))
				}
			}
		}
		for _, w := range r.Warnings() {
			doubtful = append(doubtful, fmt.Sprintf("%s: %s", r.Slug, w))
		}
	}
	var found []Finding
	if len(refused) > 0 {
		found = append(found, problem(Prices, "Stripe never charges: "+listed(refused),
			"Change the price in the file of the resource, and run host resource apply."))
	}
	if len(doubtful) > 0 {
		found = append(found, warning(Prices, "Stripe may refuse to charge one person: "+listed(doubtful),
			"Raise the price or make it free, unless the account is paid out in another currency and has charged "+
				"it before."))
	}
	if len(found) == 0 {
		found = append(found, ok(Prices, "Stripe can charge all prices"))
	}
	return found, nil
}

func listed(all []string) string {
	const named = 10
	if more := len(all) - named; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(all[:named], "; "), more)
	}
	return strings.Join(all, "; ")
}

const (
	// backlogLimit is the age of work that a running host would have done within a
	// minute.
	backlogLimit = 15 * time.Minute
	// eventLimit is the age of an event that retries should have ended, as in the alerts.
	eventLimit = 5 * time.Minute
	// pendingLimit is the age of a refund at Stripe: banks take up to ten days.
	pendingLimit = 14 * 24 * time.Hour
)

func (e *examination) eventsWaiting(ctx context.Context) ([]Finding, error) {
	b, err := webhook.NewLedger(e.DB, config.ReceiverName).Backlog(ctx)
	if err != nil {
		return nil, err
	}
	last := "none was processed recently"
	if !b.LastProcessed.IsZero() {
		last = "the last one was processed at " + b.LastProcessed.Format(time.RFC3339)
	}
	found := fmt.Sprintf("%d events failed and %d of Checkout Sessions match no payment, the oldest for %s; %s",
		b.Failed, b.UnmatchedSessions, b.Age.Round(time.Second), last)
	switch {
	case b.Age <= eventLimit:
		return []Finding{ok(EventsWaiting, "no event waits for long; "+last)}, nil
	case b.Failed > 0:
		return []Finding{problem(EventsWaiting, found, "Run host events list --outcome failed, correct what the errors "+
			"name, and run host events replay: RUNBOOK.md, \"Webhook retries\".")}, nil
	}
	return []Finding{warning(EventsWaiting, found, "Run host events list --outcome unmatched, and enter the bookings that "+
		"are missing: RUNBOOK.md, \"Unmatched event\".")}, nil
}

// eventsOfOtherMode finds a signing secret of the wrong mode by its events.
func (e *examination) eventsOfOtherMode(ctx context.Context) ([]Finding, error) {
	for reason, mode := range map[webhook.Reason]string{webhook.ReasonTestMode: "test",
		webhook.ReasonLiveMode: "live"} {
		ignored, err := webhook.NewLedger(e.DB, config.ReceiverName).List(ctx, webhook.ListOptions{
			Outcome: webhook.Ignored, Reason: reason, Since: e.Now().Add(-24 * time.Hour), Limit: 500,
		})
		if err != nil {
			return nil, err
		}
		if n := len(ignored); n > 0 {
			return []Finding{warning(EventsOtherMode,
				fmt.Sprintf("%d events of %s mode came within a day, and are ignored: STRIPE_SECRET_KEY is of the "+
					"other mode", n, mode),
				"Remove the other mode's secret from STRIPE_WEBHOOK_SECRET, and disable its endpoint at Stripe.")}, nil
		}
	}
	return []Finding{ok(EventsOtherMode, "none came within a day")}, nil
}

func (e *examination) background(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	b, err := bookings.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	if b.Age > backlogLimit {
		return []Finding{warning(Background,
			fmt.Sprintf("%d expired holds are not released, the oldest for %s", b.Expired,
				b.Age.Round(time.Second)), noHost("step failed"))}, nil
	}
	return []Finding{ok(Background, "expired holds are released")}, nil
}

// noHost is the remedy for work that a running host would do.
func noHost(step string) string {
	return fmt.Sprintf("Check that a host runs on this database, and look for %q in its log.", step)
}

// payments checks payments and refunds. Stripe is not called.
func (e *examination) payments(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	// Mode and account decide which payments are counted; the stand-in has test mode.
	key := e.Config.StripeSecretKey
	if key == "" || e.invalid("STRIPE_SECRET_KEY") {
		key = "sk_test_doctor"
	}
	pay, err := payments.New(e.DB, bookings, key, "http://127.0.0.1", payments.Options{Account: e.Config.StripeAccount})
	if err != nil {
		return nil, err
	}
	b, err := pay.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	twice, err := e.refundedTwice(ctx)
	return slices.Concat(refundFindings(b), twice, paymentFindings(b)), err
}

// A refund that an operator recorded was made at Stripe too.
const refundedTwiceSQL = `
SELECT p.id::text FROM booking_platform.payments p
WHERE p.refunded_minor > p.captured_minor AND p.captured_minor > 0
	AND p.updated_at > statement_timestamp() - interval '30 days'
	AND p.id IN (SELECT r.payment_id FROM booking_platform.refunds r WHERE r.by_hand AND r.status = 'succeeded')
ORDER BY p.id DESC LIMIT 20`

func (e *examination) refundedTwice(ctx context.Context) ([]Finding, error) {
	rows, err := e.DB.QueryContext(ctx, refundedTwiceSQL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil || len(ids) == 0 {
		return nil, err
	}
	return []Finding{warning(RefundsTwice, "more was refunded than was paid, by hand and at Stripe, within 30 days: "+
		listed(ids), "Run host payment show for each, and ask the customer to pay one of both back.")}, nil
}

func refundFindings(b payments.Backlog) []Finding {
	var found []Finding
	switch stuck, due := b.RefundsStuck, b.RefundsDue; {
	case stuck.Count > 0:
		found = append(found, problem(RefundsStuck,
			fmt.Sprintf("%d refunds failed three times at Stripe, the oldest for %s", stuck.Count, age(stuck)),
			"Run host payment list, which prints the last error of each, and correct what it names, such as a low "+
				"balance at Stripe; they are retried automatically."))
	case due.Age > backlogLimit:
		found = append(found, warning(RefundsStuck,
			fmt.Sprintf("%d refunds are due and not made, the oldest for %s", due.Count, age(due)),
			noHost("payments.SettleRefunds")))
	case b.RefundsByHand.Count > 0:
		found = append(found, warning(RefundsStuck, fmt.Sprintf("%d refunds of money paid at the desk are to be paid by hand, "+
			"the oldest for %s", b.RefundsByHand.Count, age(b.RefundsByHand)),
			"Pay them, and run host payment desk-refunded for each that host payment list prints."))
	default:
		found = append(found, ok(RefundsStuck, "no refund is stuck"))
	}
	switch failed, pending := b.RefundsFailed, b.RefundsPending; {
	case failed.Count > 0:
		found = append(found, problem(RefundsFailed,
			fmt.Sprintf("%d refunds were refused by Stripe or the customer's bank, "+
				"or canceled at Stripe, the oldest %s ago", failed.Count, age(failed)),
			"Run host payment list, then host payment retry, or refund it in Stripe's dashboard, which counts as "+
				"well."))
	case pending.Age > pendingLimit:
		found = append(found, warning(RefundsFailed,
			fmt.Sprintf("%d refunds are pending at Stripe, the oldest for %s", pending.Count, age(pending)),
			"See Stripe's dashboard: the balance may be too low, or Stripe waits for the customer; see host "+
				"payment list."))
	default:
		found = append(found, ok(RefundsFailed, "no refund was refused"))
	}
	return found
}

func paymentFindings(b payments.Backlog) []Finding {
	var found []Finding
	if parked := b.Parked; parked.Count > 0 {
		found = append(found, warning(PaymentsParked,
			fmt.Sprintf("%d payments need an operator, the oldest for %s", parked.Count, age(parked)),
			"Run host payment list, and then host payment refund for each; see RUNBOOK.md, \"Parked payment\"."))
	} else {
		found = append(found, ok(PaymentsParked, "no payment needs an operator"))
	}
	if disputed := b.Disputed; disputed.Count > 0 {
		found = append(found, warning(PaymentsDisputed,
			fmt.Sprintf("%d payments are disputed, the oldest for %s", disputed.Count, age(disputed)),
			"Answer in Stripe's dashboard before the date shown there. Refund nothing meanwhile: what is due "+
				"afterwards is "+
				"refunded automatically."))
	} else {
		found = append(found, ok(PaymentsDisputed, "none is disputed"))
	}
	if overdue, unknown := b.Overdue, b.RefundsUnknown; overdue.Age > backlogLimit || unknown.Age > backlogLimit {
		found = append(found, warning(Reconciliation,
			fmt.Sprintf("%d payments past their time are not reconciled with Stripe, "+
				"the oldest for %s, and the refunds of %d, the oldest for %s", overdue.Count, age(overdue),
				unknown.Count,
				age(unknown)), noHost("payments.ReconcilePayments")))
	} else {
		found = append(found, ok(Reconciliation, "payments are reconciled with Stripe"))
	}
	if other := b.OtherAccounts; other.Age > backlogLimit {
		found = append(found, warning(OtherAccounts,
			fmt.Sprintf("%d payments and refunds of another Stripe account or mode "+
				"wait, the oldest for %s; this host does not handle them", other.Count, age(other)),
			"Check that a host with their key and STRIPE_ACCOUNT runs, or set the key and the name they were made "+
				"with."))
	}
	return found
}

func age(w payments.BacklogCount) time.Duration { return w.Age.Round(time.Second) }
