package booking

import (
	"encoding/json"
	"errors"
	"math/big"
	"time"

	"github.com/booking-platform/booking-platform/internal/valid"
)

// Policy is until when customers may cancel and move their bookings, and at what fee. It
// does not bind staff. A booking keeps the policy of its hold. The zero value allows
// both, free of charge, until the booking begins.
type Policy struct {
	// Never forbids both.
	Never bool
	// FreeUntil is how long before the start free cancellation ends; at most 365 days.
	FreeUntil time.Duration
	// ClosedFrom is how long before the start cancellation ends; at most FreeUntil.
	ClosedFrom time.Duration
	// FeePercent of the amount, 0 to 100, is kept after FreeUntil, rounded down to an
	// amount whose rest Stripe can refund: a minor unit in most currencies, a whole króna
	// or shilling in isk and ugx, ten minor units with three decimal places.
	FeePercent int
	// FeeMinor is kept in addition, once per booking, in minor units. The sum never
	// exceeds the amount.
	FeeMinor int64
}

// Terms are a customer's cancellation at an instant.
type Terms struct {
	Allowed bool
	// FreeUntil is when free cancellation ends, Until when cancellation ends, exclusive,
	// in UTC; zero if the policy is Never.
	FreeUntil, Until time.Time
	// Fee is kept and Refund refunded of the paid amount.
	Fee, Refund Money
}

// Terms returns the terms of a cancellation at an instant, for display; [Store.Cancel]
// decides by the database's clock.
//
// A confirmed booking has the terms of its Policy. A hold can always be cancelled: Fee
// and Refund are zero, and the times are those after a confirmation. For other bookings
// and blocks Allowed is false and the rest zero.
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

// TermsPaid is for a hold whose customer has begun to pay: the terms of a confirmed
// booking.
func (b Booking) TermsPaid(at time.Time) Terms {
	if b.Kind != KindBooking || b.Status != StatusPending {
		return b.Terms(at)
	}
	return b.Policy.terms(b.Start, at, b.Amount)
}

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

func (m Money) split(refund int64) (kept, given Money) {
	return Money{Minor: m.Minor - refund, Currency: m.Currency}, Money{Minor: refund, Currency: m.Currency}
}

// fee is kept after FreeUntil. The arithmetic cannot overflow.
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

// policyRow is in seconds. The zero value is the column's default.
type policyRow struct {
	Never      bool  `json:"never,omitempty"`
	FreeUntil  int64 `json:"free_until_seconds,omitempty"`
	ClosedFrom int64 `json:"closed_from_seconds,omitempty"`
	FeePercent int   `json:"fee_percent,omitempty"`
	FeeMinor   int64 `json:"fee_minor,omitempty"`
}

func (p Policy) json() string {
	text, _ := json.Marshal(policyRow{p.Never, seconds(p.FreeUntil), seconds(p.ClosedFrom), p.FeePercent, p.FeeMinor})
	return string(text)
}

// An invalid policy is refused, so that nothing is sold by it.
func readPolicy(text string) (Policy, error) {
	if text == "{}" {
		return Policy{}, nil
	}
	var row policyRow
	if err := json.Unmarshal([]byte(text), &row); err != nil {
		return Policy{}, err
	}
	// Values far out of bounds do not overflow.
	bounded := func(seconds int64) time.Duration { return duration(max(-1, min(seconds, 1<<30))) }
	p := Policy{row.Never, bounded(row.FreeUntil), bounded(row.ClosedFrom), row.FeePercent, row.FeeMinor}
	if bad := p.problem(); bad != "" {
		return Policy{}, errors.New(bad)
	}
	return p, nil
}
