package payments

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/booking-platform/booking-platform/internal/periodic"
	"github.com/booking-platform/booking-platform/webhook"
)

// Run runs the background steps of this package, each at its own pace, until ctx ends,
// and returns nil. receiver is the one given to [Payments.Register]; another one, or nil,
// is an error.
//
// Run is safe on every replica at once. A step that fails or panics is logged, reported
// to Options.OnStep and run again. The single steps are for programs with their own
// scheduler.
//
// booking.Store.Run, which releases expired holds, may run in any order with it: a
// session is expired whether its slot was released or not. A customer who pays in between
// gets the slot back if it is free, or else a full refund.
func (p *Payments) Run(ctx context.Context, receiver *webhook.Receiver) error {
	if _, registered := p.registered.Load(receiver); !registered {
		return errors.New("payments: Run requires the webhook receiver that was given to Register")
	}
	periodic.Run(ctx, p.log, p.opts.OnStep, p.rounds(receiver)...)
	return nil
}

// Steps returns the names of the steps that [Payments.Run] reports to Options.OnStep,
// sorted.
func Steps() []string {
	var names []string
	for _, round := range (&Payments{}).rounds(nil) {
		for _, step := range round.Steps {
			names = append(names, step.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *Payments) rounds(receiver *webhook.Receiver) []periodic.Round {
	return []periodic.Round{
		{Every: 5 * time.Second, Steps: []periodic.Step{
			{Name: "payments.ExpireSessions", Timeout: 20 * time.Second, Do: p.ExpireSessions},
		}},
		{Every: 5 * time.Second, Steps: []periodic.Step{
			{Name: "payments.SettleRefunds", Timeout: 20 * time.Second, Do: p.SettleRefunds},
			{Name: "payments.RefreshRefunds", Timeout: 20 * time.Second, Do: p.RefreshRefunds},
		}},
		{Every: time.Minute, Steps: []periodic.Step{
			{Name: "payments.ReconcilePayments", Timeout: 45 * time.Second, Do: p.ReconcilePayments},
		}},
		{Every: 5 * time.Minute, Steps: []periodic.Step{
			{Name: "payments.FetchUndelivered", Timeout: time.Minute, Do: func(ctx context.Context) (int, error) {
				return p.FetchUndelivered(ctx, receiver)
			}},
		}},
		{Every: 15 * time.Minute, Steps: []periodic.Step{
			{Name: "payments.DiscoverRefunds", Timeout: 2 * time.Minute, Do: p.DiscoverRefunds},
			{Name: "payments.DiscoverDisputes", Timeout: 2 * time.Minute, Do: p.DiscoverDisputes},
		}},
		{Every: time.Hour, Steps: []periodic.Step{
			{Name: "payments.ErasePast", Timeout: time.Minute, Do: p.ErasePast},
		}},
	}
}
