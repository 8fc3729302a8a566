package webhook

import (
	"maps"
	"slices"
	"strings"
)

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

// handler returns the handler for an event, or nil and why there is none.
func (r *Receiver) handler(ev Event) (Handler, Reason) {
	if why := r.foreign(ev); why != "" {
		return nil, why
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if h := r.handlers[ev.Type]; h != nil {
		return h, ""
	}
	return nil, ReasonNoHandler
}

// separator stands between the names of a list: no type of event and no account has it.
const separator = "\x1f"

// scopeSQL is true of an event that this receiver has a handler for: by type, mode and
// account. An event of another replica's is neither tried nor postponed here. The lists
// are constants to the planner, which sees from its statistics how rare the types are.
const scopeSQL = `e.type = ANY (string_to_array($2::text, E'\x1f'))
	AND ($3::text = '' OR e.livemode = ($3::text = 'live'))
	AND ($4::text IS NULL OR e.account = ANY (string_to_array($4::text, E'\x1f')))`

// scope is what scopeSQL is told: the types that have a handler here, and the accounts,
// one's own being the empty one; no list of accounts is all of them.
func (r *Receiver) scope() (types string, accounts *string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	types = strings.Join(slices.Sorted(maps.Keys(r.handlers)), separator)
	if slices.Contains(r.opts.Accounts, AnyAccount) {
		return types, nil
	}
	list := separator + strings.Join(r.opts.Accounts, separator)
	return types, &list
}
