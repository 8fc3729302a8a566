package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/auth"
	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/webhook"
)

// adminUser: a host that nobody may operate cannot cancel, and nobody sees what it does.
func (e *examination) adminUser(ctx context.Context) ([]Finding, error) {
	users, err := auth.NewUsers(e.DB, auth.UsersOptions{})
	if err != nil {
		return nil, err
	}
	const page = 100
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
		}
		if len(accounts) < page {
			break
		}
	}
	switch {
	case e.Config.AdminEmail != "":
		return []Finding{ok(AdminUser, "none yet: the one of ADMIN_EMAIL is made when the host starts")}, nil
	case !e.Config.Production:
		return []Finding{ok(AdminUser, "none; to have one: host user add --role ADMIN you@example.com")}, nil
	}
	return []Finding{problem(AdminUser, "there is no active user with role ADMIN: nobody can operate the host",
		"Run: host user add --role ADMIN you@example.com, or host user enable where one is disabled.")}, nil
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
		return []Finding{ok(Resources,
			"none; a host that starts in development makes a sample where there is none at all")}, nil
	}
	return []Finding{warning(Resources, "there is no active resource: nothing can be booked",
		"Run: host resource apply -f file, with what can be booked (docs/resources.md).")}, nil
}

// waitLimit is how long something may wait that a running host takes up within seconds or
// a minute.
const waitLimit = 15 * time.Minute

func (e *examination) eventsWaiting(ctx context.Context) ([]Finding, error) {
	b, err := webhook.NewLedger(e.DB, config.ReceiverName).Backlog(ctx)
	if err != nil {
		return nil, err
	}
	last := "none was processed lately"
	if !b.LastProcessed.IsZero() {
		last = "the last one was processed at " + b.LastProcessed.Format(time.RFC3339)
	}
	found := fmt.Sprintf("%d of Stripe's events failed and %d of Checkout Sessions matched no payment, the oldest %s ago; %s",
		b.Failed, b.UnmatchedSessions, b.Age.Round(time.Second), last)
	const remedy = "Look with host events list, mend what the rows' errors name, and run host events replay; host events ignore ends what needs nothing."
	switch {
	case b.Age <= waitLimit:
		return []Finding{ok(EventsWaiting, "no event of Stripe's waits for long; "+last)}, nil
	case b.Failed > 0:
		return []Finding{problem(EventsWaiting, found, remedy)}, nil
	}
	// Such a session carries this host's reference and address, so its payment was lost
	// here.
	return []Finding{warning(EventsWaiting, found, remedy)}, nil
}

// eventsOfOtherMode finds a signing secret of the wrong mode by what it lets in.
func (e *examination) eventsOfOtherMode(ctx context.Context) ([]Finding, error) {
	for reason, is := range map[webhook.Reason]string{webhook.ReasonTestMode: "test mode",
		webhook.ReasonLiveMode: "live mode"} {
		ignored, err := webhook.NewLedger(e.DB, config.ReceiverName).List(ctx, webhook.ListOptions{
			Outcome: webhook.Ignored, Reason: reason, Since: e.Now().Add(-24 * time.Hour), Limit: 500,
		})
		if err != nil {
			return nil, err
		}
		if n := len(ignored); n > 0 {
			return []Finding{warning(EventsOtherMode,
				fmt.Sprintf("%d events of %s came within a day, and STRIPE_SECRET_KEY is of the other: they are ignored", n, is),
				"Take the other mode's signing secret out of STRIPE_WEBHOOK_SECRET, and switch its endpoint at Stripe off.")}, nil
		}
	}
	return []Finding{ok(EventsOtherMode, "none came within a day")}, nil
}

// background: a hold whose time has passed is released by every host within seconds.
func (e *examination) background(ctx context.Context) ([]Finding, error) {
	bookings, err := booking.New(e.DB, booking.Options{})
	if err != nil {
		return nil, err
	}
	b, err := bookings.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	if b.Age > waitLimit {
		return []Finding{warning(Background,
			fmt.Sprintf("%d holds have ended and nobody has released them, the oldest for %s", b.Expired,
				b.Age.Round(time.Second)),
			"See that a host runs on this database, and look for \"step failed\" in its log.")}, nil
	}
	return []Finding{ok(Background, "holds that have ended are released")}, nil
}
