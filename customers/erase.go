package customers

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/payments"
	"github.com/booking-platform/booking-platform/webhook"
)

// Reason is why a customer's data is still needed: a constant here, or a payments.Matter.
type Reason string

// The reasons besides payments.Matter.
const (
	// ReasonNotOver: a booking is held, or neither ended nor cancelled. Cancel it.
	ReasonNotOver Reason = "booking_not_over"
	// ReasonActiveUser: a user with this address can log in. Disable it.
	ReasonActiveUser Reason = "user_active"
)

// NotYet is one reason why data is still needed.
type NotYet struct {
	// BookingID and PaymentID are empty if the reason is about none.
	BookingID string `json:"bookingId,omitempty"`
	PaymentID string `json:"paymentId,omitempty"`
	Reason    Reason `json:"reason"`
	// Forceable: EraseOptions.Force passes it over.
	Forceable bool `json:"forceable"`
}

// Report counts the rows that an erasure changed, or would change in a dry run.
type Report struct {
	// DryRun is that of the options.
	DryRun bool `json:"dryRun"`
	// Bookings lost their customer, History entries their reason; HoldNumbers of limits
	// were deleted.
	Bookings    int `json:"bookings"`
	History     int `json:"history"`
	HoldNumbers int `json:"holdNumbers"`
	// Payments lost their parameters, Refunds the texts of operators.
	Payments int `json:"payments"`
	Refunds  int `json:"refunds"`
	// Events lost their payload, or the person in it.
	Events int `json:"events"`
	// Messages were deleted.
	Messages int `json:"messages"`
	// Users and their Sessions were deleted. Actors are entries of the history and refunds
	// of others in which the user was named; they are not counted in a dry run.
	Users    int `json:"users"`
	Sessions int `json:"sessions"`
	Actors   int `json:"actors"`
	// NotYet are the reasons why data is still needed.
	NotYet []NotYet `json:"notYet"`
}

// Changed returns the sum of the counts.
func (r Report) Changed() int {
	return r.Bookings + r.History + r.HoldNumbers + r.Payments + r.Refunds + r.Events +
		r.Messages + r.Users + r.Sessions + r.Actors
}

// EraseOptions adjust [Customers.Erase].
type EraseOptions struct {
	// DryRun changes nothing.
	DryRun bool
	// Force erases although a payment is disputed, parked or being refunded: what is left
	// to do needs Stripe's ids alone. It does not pass over bookings that are not over,
	// money that can still arrive, and active users.
	Force bool
	// Actors are further actors of booking.WithActor that name the person. "user:" and
	// the address is always one.
	Actors []string
}

// Erase erases a customer, found by the e-mail address compared without case: all
// bookings, payments, stored events and the user account, as docs/privacy.md lists.
//
// A customer is erased as a whole. If a booking is not over, a payment not settled, or a
// user active, nothing changes and the error is [ErrNotYet]; [Report.NotYet] names each
// reason. What the customer books during the call is in NotYet too, with ErrNotYet,
// although the rest was erased: erase it with another call.
//
// A repetition, and a customer of whom nothing is kept, change nothing and report zeros.
// Repeat the call after an error or a crash: the bookings, by which everything is found,
// are erased last. Safe on several replicas, and while the customer books. It works in
// batches of short transactions.
func (c *Customers) Erase(ctx context.Context, email string, opts EraseOptions) (Report, error) {
	report := Report{DryRun: opts.DryRun, NotYet: []NotYet{}}
	p, err := c.find(ctx, email)
	if err != nil {
		return report, err
	}
	if err := c.erase(ctx, p, opts, &report); err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "customer not erased", slog.Int("reasons", len(report.NotYet)),
			slog.Int("rows", report.Changed()), slog.Bool("dry_run", opts.DryRun), slog.String("error", err.Error()))
		return report, err
	}
	if !opts.DryRun {
		c.log.LogAttrs(ctx, slog.LevelInfo, "customer erased", slog.Int("bookings", report.Bookings),
			slog.Int("history", report.History), slog.Int("payments", report.Payments),
			slog.Int("refunds", report.Refunds), slog.Int("events", report.Events),
			slog.Int("messages", report.Messages), slog.Int("users", report.Users),
			slog.Int("sessions", report.Sessions), slog.Int("actors", report.Actors),
			slog.String("actor", booking.Actor(ctx)))
	}
	return report, nil
}

func (c *Customers) erase(ctx context.Context, p person, opts EraseOptions, report *Report) error {
	if err := c.reasons(ctx, p, report); err != nil {
		return err
	}
	blocked := slices.ContainsFunc(report.NotYet, func(n NotYet) bool { return !opts.Force || !n.Forceable })
	if blocked && !opts.DryRun {
		return ErrNotYet
	}
	// The payments first: late events are stored without the person from then on.
	if err := c.erasePayments(ctx, p, opts, report); err != nil {
		return err
	}
	for _, ledger := range c.parts.Ledgers {
		n, err := ledger.Erase(ctx, p.subject, webhook.EraseOptions{DryRun: opts.DryRun})
		report.Events += n
		if err != nil {
			return err
		}
	}
	if err := c.eraseMessages(ctx, p, opts, report); err != nil {
		return err
	}
	done, err := c.parts.Bookings.Erase(ctx, p.bookings, booking.EraseOptions{DryRun: opts.DryRun})
	report.Bookings, report.History, report.HoldNumbers = done.Bookings, done.Changes, done.HoldNumbers
	if err != nil {
		return err
	}
	if err := c.eraseUser(ctx, p, opts, report); err != nil {
		return err
	}
	if blocked {
		return ErrNotYet
	}
	if opts.DryRun {
		return nil
	}
	return c.rest(ctx, p, report)
}

func (c *Customers) reasons(ctx context.Context, p person, report *Report) error {
	dry, err := c.parts.Bookings.Erase(ctx, p.bookings, booking.EraseOptions{DryRun: true})
	if err != nil {
		return err
	}
	for _, id := range dry.NotOver {
		report.NotYet = append(report.NotYet, NotYet{BookingID: id, Reason: ReasonNotOver})
	}
	if c.parts.Payments != nil {
		unsettled, err := c.parts.Payments.Unsettled(ctx, p.bookings)
		if err != nil {
			return err
		}
		for _, u := range unsettled {
			report.NotYet = append(report.NotYet, NotYet{BookingID: u.BookingID, PaymentID: u.PaymentID,
				Reason: Reason(u.Matter), Forceable: u.Matter.Forceable()})
		}
	}
	if p.account.Active {
		report.NotYet = append(report.NotYet, NotYet{Reason: ReasonActiveUser})
	}
	return nil
}

func (c *Customers) erasePayments(ctx context.Context, p person, opts EraseOptions, report *Report) error {
	if c.parts.Payments == nil {
		return nil
	}
	done, err := c.parts.Payments.Erase(ctx, p.bookings, payments.EraseOptions{DryRun: opts.DryRun, Force: opts.Force})
	report.Payments, report.Refunds = done.Payments, done.Refunds
	return err
}

func (c *Customers) eraseMessages(ctx context.Context, p person, opts EraseOptions, report *Report) (err error) {
	switch {
	case c.parts.Messages == nil:
	case opts.DryRun:
		report.Messages, err = c.parts.Messages.CountOf(ctx, p.messages())
	default:
		report.Messages, err = c.parts.Messages.Erase(ctx, p.messages())
	}
	return err
}

// eraseUser deletes the user after the actors, which are found by its address.
func (c *Customers) eraseUser(ctx context.Context, p person, opts EraseOptions, report *Report) error {
	actors := opts.Actors
	if p.account.ID != "" {
		actors = append(slices.Clone(actors), "user:"+p.account.Email)
	}
	if opts.DryRun {
		if p.account.ID != "" {
			sessions, err := c.parts.Users.Sessions(ctx, p.account.ID)
			report.Users, report.Sessions = 1, len(sessions)
			return err
		}
		return nil
	}
	for _, actor := range actors {
		n, err := c.parts.Bookings.EraseActor(ctx, actor)
		report.Actors += n
		if err != nil {
			return err
		}
		if c.parts.Payments == nil {
			continue
		}
		n, err = c.parts.Payments.EraseActor(ctx, actor)
		report.Actors += n
		if err != nil {
			return err
		}
	}
	if p.account.ID == "" {
		return nil
	}
	sessions, err := c.parts.Users.Delete(ctx, p.email)
	if errors.Is(err, auth.ErrNotFound) {
		// Another process has deleted it.
		return nil
	}
	if err == nil {
		report.Users, report.Sessions = 1, sessions
	}
	return err
}

// rest reports what the customer has booked meanwhile.
func (c *Customers) rest(ctx context.Context, p person, report *Report) error {
	left, err := c.parts.Bookings.CustomerBookings(ctx, p.email)
	if err != nil || len(left) == 0 {
		return err
	}
	for _, id := range left {
		report.NotYet = append(report.NotYet, NotYet{BookingID: id, Reason: ReasonNotOver})
	}
	return ErrNotYet
}
