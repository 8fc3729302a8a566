package webhook

import "slices"

// Mode is which of Stripe's two worlds a receiver is for.
type Mode string

const (
	// AnyMode takes live events and those of test mode alike.
	AnyMode Mode = ""
	// LiveMode takes live events: money moves.
	LiveMode Mode = "live"
	// TestMode takes events of Stripe's test mode.
	TestMode Mode = "test"
)

// AnyAccount in Options.Accounts stands for every connected account.
const AnyAccount = "*"

// foreign says why an event is not for this receiver; empty when it is. Such an event has
// a valid signature: a Connect endpoint of a live host gets its accounts' test events
// too, and a secret of test mode that was left configured lets all of them in.
func (r *Receiver) foreign(ev Event) Reason {
	switch {
	case r.opts.Mode == LiveMode && !ev.Livemode:
		return ReasonTestMode
	case r.opts.Mode == TestMode && ev.Livemode:
		return ReasonLiveMode
	case ev.Account != "" && !slices.Contains(r.opts.Accounts, ev.Account) &&
		!slices.Contains(r.opts.Accounts, AnyAccount):
		return ReasonOtherAccount
	}
	return ""
}
