package webhook

import (
	"maps"
	"slices"
	"strings"
)

// Mode selects events by Stripe's mode.
type Mode string

const (
	// AnyMode selects live and test events.
	AnyMode Mode = ""
	// LiveMode selects live events.
	LiveMode Mode = "live"
	// TestMode selects test events.
	TestMode Mode = "test"
)

// AnyAccount in Options.Accounts means every connected account.
const AnyAccount = "*"

// filter returns why an event is not for this receiver, or "".
func (r *Receiver) filter(ev Event) Reason {
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

// handlersFor returns the handlers for an event, or none and the reason.
func (r *Receiver) handlersFor(ev Event) ([]Handler, Reason) {
	if why := r.filter(ev); why != "" {
		return nil, why
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	handlers := r.handlers[ev.Type]
	if len(handlers) == 0 {
		handlers = r.others
	}
	if len(handlers) == 0 {
		return nil, ReasonNoHandler
	}
	return handlers, ""
}

// separator joins lists; no event type and no account contains it.
const separator = "\x1f"

// scopeSQL is true of an event that this receiver has a handler for, by type, mode and
// account. The planner treats the lists as constants, and knows from its statistics how
// rare the types are.
const scopeSQL = `($2::text IS NULL OR e.type = ANY (string_to_array($2::text, E'\x1f')))
	AND ($3::text = '' OR e.livemode = ($3::text = 'live'))
	AND ($4::text IS NULL OR e.account = ANY (string_to_array($4::text, E'\x1f')))`

// scope returns the parameters of scopeSQL: the types with a handler, where nil means all
// types, and the accounts, of which the platform's own is the empty one, where nil means
// all accounts.
func (r *Receiver) scope() (types, accounts *string) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.others) == 0 {
		list := strings.Join(slices.Sorted(maps.Keys(r.handlers)), separator)
		types = &list
	}
	if !slices.Contains(r.opts.Accounts, AnyAccount) {
		list := separator + strings.Join(r.opts.Accounts, separator)
		accounts = &list
	}
	return types, accounts
}
