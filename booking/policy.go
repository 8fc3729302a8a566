package booking

import (
	"encoding/json"
	"errors"
	"math/big"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Policy says until when customers may cancel and move their bookings, and what that
// costs them. Staff are not bound by it. A booking keeps the policy that its resource had
// when it was held. The zero value is: free of charge until the booking begins.
type Policy struct {
	// Never forbids customers to cancel and to move.
	Never bool
	// FreeUntil is how long before the start cancelling is free at the latest; 0 until it
	// begins. Up to 365 days.
	FreeUntil time.Duration
	// ClosedFrom is how long before the start nothing can be cancelled any more; 0 when
	// it begins. At most FreeUntil.
	ClosedFrom time.Duration
	// FeePercent of the booking's amount is kept when it is cancelled after FreeUntil, 0
	// to 100. What is kept is rounded down, in the customer's favour, to an amount whose
	// rest Stripe can refund: a minor unit in most currencies, a whole króna or shilling
	// in isk and ugx, ten minor units in those with three decimal places.
	FeePercent int
	// FeeMinor is kept besides, once for the whole party, in minor units of the booking's
	// currency. Both together never exceed the amount.
	FeeMinor int64
}

// Terms are what cancelling a booking gives its customer at an instant.
type Terms struct {
	// Allowed tells whether the customer may cancel.
	Allowed bool
	// FreeUntil is when free cancellation ends and Until when cancelling ends altogether,
	// in UTC; both zero where the policy is never. At that very instant it has ended.
	FreeUntil, Until time.Time
	// Fee is kept and Refund given back of what was paid in full: together they are the
	// booking's amount. Where cancelling is not allowed the fee is all of it.
	Fee, Refund Money
}

// Terms tell what cancelling gives its customer at an instant, so that a page can show it
// before. Only [Store.Cancel] decides, by the database's clock. It asks nobody.
//
// A confirmed booking has the terms of its Policy. A hold may always be cancelled, and
// nothing was paid for it: it is Allowed, Fee and Refund are nothing, and FreeUntil and
// Until are those it will have once it is confirmed. What has ended, and a block, is not
// for customers to cancel: not Allowed, without times and amounts.
func (b Booking) Terms(at time.Time) Terms {
	nothing := Money{Currency: b.Amount.Currency}
	if b.Kind == KindBlock || b.Status != StatusPending && b.Status != StatusConfirmed {
		return Terms{Fee: nothing, Refund: nothing}
	}
	t := b.Policy.terms(b.Start, at, b.Amount)
	if b.Status == StatusPending {
		t.Allowed, t.Fee, t.Refund = true, nothing, nothing
	}
	return t
}

// TermsPaid are the terms of a hold whose customer has begun to pay, by a method that
// takes days for example: those of its Policy, as if it were confirmed. Of anything but a
// hold they are its Terms.
func (b Booking) TermsPaid(at time.Time) Terms {
	if b.Kind != KindBooking || b.Status != StatusPending {
		return b.Terms(at)
	}
	return b.Policy.terms(b.Start, at, b.Amount)
}

// terms applies a policy to a booking that begins at start and costs amount. An instant
// at which something ends is already after it.
func (p Policy) terms(start, at time.Time, amount Money) Terms {
	var t Terms
	if !p.Never {
		t.FreeUntil, t.Until = start.Add(-p.FreeUntil).UTC(), start.Add(-p.ClosedFrom).UTC()
	}
	t.Allowed = at.Before(t.Until)
	refund := int64(0)
	switch {
	case at.Before(t.FreeUntil):
		refund = amount.Minor
	case t.Allowed:
		refund = amount.Minor - p.fee(amount)
	}
	t.Fee, t.Refund = amount.split(refund)
	return t
}

// split takes what is given back out of an amount, and leaves what is kept.
func (m Money) split(refund int64) (kept, given Money) {
	return Money{Minor: m.Minor - refund, Currency: m.Currency}, Money{Minor: refund, Currency: m.Currency}
}

// fee is what is kept of an amount after FreeUntil, in whole numbers that cannot
// overflow.
func (p Policy) fee(amount Money) int64 {
	share := new(big.Int).Mul(big.NewInt(amount.Minor), big.NewInt(int64(p.FeePercent)))
	share.Div(share, big.NewInt(100))
	share.Add(share, big.NewInt(p.FeeMinor))
	if share.Cmp(big.NewInt(amount.Minor)) >= 0 {
		return amount.Minor
	}
	kept := share.Int64()
	return kept - kept%valid.CurrencyOf(amount.Currency).Step
}

func (p Policy) problem() string {
	if bad := durationProblem(p.FreeUntil, 0, 365*day); bad != "" {
		return "free until " + bad
	}
	if bad := durationProblem(p.ClosedFrom, 0, 365*day); bad != "" {
		return "closed from " + bad
	}
	switch {
	case p.ClosedFrom > p.FreeUntil:
		return "is free for longer than it can be cancelled"
	case p.FeePercent < 0 || p.FeePercent > 100:
		return "keeps a fee that is not between 0 and 100 percent"
	case p.FeeMinor < 0:
		return "keeps a negative fee"
	}
	return ""
}

// policyRow is a policy as it is stored, with times in seconds. That of the zero value is
// the empty object, the column's default.
type policyRow struct {
	Never      bool  `json:"never,omitempty"`
	FreeUntil  int64 `json:"free_until_seconds,omitempty"`
	ClosedFrom int64 `json:"closed_from_seconds,omitempty"`
	FeePercent int   `json:"fee_percent,omitempty"`
	FeeMinor   int64 `json:"fee_minor,omitempty"`
}

func (p Policy) json() string {
	// Numbers can always be written.
	text, _ := json.Marshal(policyRow{p.Never, seconds(p.FreeUntil), seconds(p.ClosedFrom), p.FeePercent, p.FeeMinor})
	return string(text)
}

// readPolicy refuses what no policy could be, in a resource that was changed by SQL, say:
// so nothing is sold by it.
func readPolicy(text string) (Policy, error) {
	if text == "{}" {
		return Policy{}, nil
	}
	var row policyRow
	if err := json.Unmarshal([]byte(text), &row); err != nil {
		return Policy{}, err
	}
	// What is far out of bounds stays so, and does not overflow.
	bounded := func(seconds int64) time.Duration { return duration(max(-1, min(seconds, 1<<30))) }
	p := Policy{row.Never, bounded(row.FreeUntil), bounded(row.ClosedFrom), row.FeePercent, row.FeeMinor}
	if bad := p.problem(); bad != "" {
		return Policy{}, errors.New(bad)
	}
	return p, nil
}
