package booking_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
)

// act is one thing that somebody does. It is data, so that a row of them that goes wrong can be shrunk and read.
type act struct {
	// Do is a name in acts.
	Do string
	// Offer, Start, in quarters of an hour after the world's base, and Party are what is asked for.
	Offer        string
	Start, Party int
	// Which is the booking it is about: a place among those there are.
	Which int
}

// answer is how an act ended: "ok", or what kind of refusal.
type answer struct {
	class   string
	booking booking.Booking
}

// kind of act: how it is done, and whether the model can explain an answer. What the answer means is done to the model.
type kind struct {
	do      func(w *world, ctx context.Context, store *booking.Store, a act, id string) (booking.Booking, error)
	explain func(w *world, m *model, a act, b *sold, got answer) bool
	// weight is how often it is drawn; about tells that it needs a booking that exists.
	weight int
	about  bool
}

// actor is who acts, in the history.
const actor = "user:ada@example.com"

var acts = map[string]kind{
	"hold": {weight: 8, do: doHold, explain: explainHold},
	"confirm": {weight: 3, about: true,
		do: func(_ *world, ctx context.Context, s *booking.Store, _ act, id string) (booking.Booking, error) {
			return s.Confirm(ctx, id)
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			switch {
			case b.status == booking.Pending && !b.lapsed:
				return got.ends(b, booking.Confirmed, "")
			case b.status == booking.Pending || b.status == booking.Expired:
				return got.class == "expired"
			}
			return got.settled(b, booking.Confirmed)
		}},
	"confirm late": {weight: 1, about: true,
		do: func(_ *world, ctx context.Context, s *booking.Store, _ act, id string) (booking.Booking, error) {
			return s.ConfirmLate(ctx, id)
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			if b.wasExpired(got, "expired") {
				return true
			}
			if b.status == booking.Pending {
				return got.ends(b, booking.Confirmed, "")
			}
			return b.status == booking.Expired && got.class == "expired" || got.settled(b, booking.Confirmed)
		}},
	"release": {weight: 1, about: true,
		do: func(_ *world, ctx context.Context, s *booking.Store, _ act, id string) (booking.Booking, error) {
			return s.Release(ctx, id)
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			if b.wasExpired(got, "status expired") {
				return true
			}
			if b.status == booking.Pending {
				return got.ends(b, booking.Cancelled, "")
			}
			return got.class == "status "+string(b.status)
		}},
	"cancel": {weight: 2, about: true,
		do: func(_ *world, ctx context.Context, s *booking.Store, _ act, id string) (booking.Booking, error) {
			return s.Cancel(ctx, booking.CancelRequest{ID: id, Reason: "rain"})
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			if b.wasExpired(got, "status expired") {
				return true
			}
			if b.status == booking.Pending || b.status == booking.Confirmed {
				return got.ends(b, booking.Cancelled, "rain")
			}
			return got.settled(b, booking.Cancelled)
		}},
	"expire": {weight: 1, about: true,
		do: func(w *world, ctx context.Context, s *booking.Store, _ act, id string) (b booking.Booking, err error) {
			tx, err := w.db.BeginTx(ctx, nil)
			if err != nil {
				return b, err
			}
			defer func() { _ = tx.Rollback() }()
			if b, err = s.Tx(tx).Expire(ctx, id); err != nil {
				return b, err
			}
			return b, tx.Commit()
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			if b.status == booking.Pending && b.shaky && got.class == "ok" {
				b.become(booking.Expired, anybody, "")
				return true
			}
			if b.status == booking.Pending {
				return got.ends(b, booking.Expired, "")
			}
			return got.settled(b, booking.Expired)
		}},
	"extend": {weight: 1, about: true,
		do: func(w *world, ctx context.Context, s *booking.Store, _ act, id string) (booking.Booking, error) {
			return s.Extend(ctx, id, w.base)
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			if b.wasExpired(got, "expired") {
				return true
			}
			switch b.status {
			case booking.Pending:
				b.lapsed, b.shaky = false, false
				return got.class == "ok"
			case booking.Expired:
				return got.class == "expired"
			}
			return got.class == "status "+string(b.status)
		}},
	// The time of a hold passes.
	"lapse": {weight: 3, about: true,
		do: func(w *world, ctx context.Context, _ *booking.Store, _ act, id string) (booking.Booking, error) {
			_, err := w.db.ExecContext(ctx, lapseBoth, id, time.Now().Add(-time.Hour))
			return booking.Booking{}, err
		},
		explain: func(_ *world, _ *model, _ act, b *sold, got answer) bool {
			b.lapsed = b.lapsed || b.status == booking.Pending
			return got.class == "ok"
		}},
	"sweep": {weight: 1,
		do: func(_ *world, ctx context.Context, s *booking.Store, _ act, _ string) (booking.Booking, error) {
			_, err := s.ReleaseExpired(ctx)
			return booking.Booking{}, err
		},
		explain: func(_ *world, m *model, _ act, _ *sold, got answer) bool {
			for i := range m.bookings {
				b := &m.bookings[i]
				switch {
				case b.status != booking.Pending || !b.lapsed:
				case m.alone:
					b.become(booking.Expired, anybody, "")
				default:
					// One that somebody else has locked is left for the next time.
					b.shaky = true
				}
			}
			return got.class == "ok"
		}},
}

const lapseBoth = `
WITH b AS (
    UPDATE booking_platform.bookings SET hold_expires_at = $2::timestamptz WHERE id = $1::uuid AND status = 'pending' RETURNING id
)
UPDATE booking_platform.hold_deadlines d SET due_at = $2::timestamptz FROM b WHERE d.booking_id = b.id`

// ends tells whether an act that changes a booking's status was done, and does it to the model.
func (got answer) ends(b *sold, status booking.Status, reason string) bool {
	b.become(status, actor, reason)
	b.lapsed = false
	if status == booking.Cancelled && reason != "" {
		b.sequence++
	}
	return got.class == "ok" && got.booking.Status == status
}

// settled tells whether an act was answered as it is where there is nothing to change.
func (got answer) settled(b *sold, settled booking.Status) bool {
	if b.status == settled {
		return got.class == "ok" && got.booking.Status == settled
	}
	return got.class == "status "+string(b.status)
}

// wasExpired tells whether an answer shows that a hold that has lapsed was ended by whoever needed its units.
func (b *sold) wasExpired(got answer, class string) bool {
	if b.status != booking.Pending || !b.shaky || got.class != class {
		return false
	}
	b.become(booking.Expired, anybody, "")
	return true
}

func doHold(w *world, ctx context.Context, s *booking.Store, a act, _ string) (booking.Booking, error) {
	return s.Hold(ctx, booking.HoldRequest{Resource: w.slug, Start: w.at(a.Start), Party: a.Party, Customer: ada})
}

func explainHold(w *world, m *model, a act, _ *sold, got answer) bool {
	offer, start := m.offers[a.Offer], w.at(a.Start)
	switch onGrid := offer.isStart(start); {
	case !onGrid && a.Party > m.capacity:
		return got.class == "invalid party, start"
	case !onGrid:
		return got.class == "invalid start"
	case a.Party > m.capacity:
		return got.class == "invalid party"
	}
	from, to := offer.blocked(start)
	m.reach(from, to)
	if m.heads(from, to, "")+a.Party > m.capacity {
		return got.class == "taken"
	}
	b := sold{
		id: got.booking.ID, kind: booking.Sold, offer: a.Offer, start: start, end: start.Add(offer.length), from: from, to: to,
		party: a.Party, amount: offer.price * int64(a.Party),
	}
	b.become(booking.Pending, actor, "")
	m.bookings = append(m.bookings, b)
	return got.class == "ok"
}

// classify says how an act ended. What is not foreseen explains nothing.
func classify(err error) string {
	var status *booking.StatusError
	var invalid *booking.ValidationError
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, booking.ErrSlotTaken):
		return "taken"
	case errors.Is(err, booking.ErrHoldExpired):
		return "expired"
	case errors.As(err, &status):
		return "status " + string(status.Status)
	case errors.As(err, &invalid):
		var fields []string
		for field := range invalid.Fields {
			fields = append(fields, field)
		}
		slices.Sort(fields)
		return "invalid " + strings.Join(fields, ", ")
	}
	return fmt.Sprintf("error %v", err)
}

// drawAct draws any of them.
var drawAct = rapid.Custom(func(t *rapid.T) act {
	var names []string
	for name, k := range acts {
		for range k.weight {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return act{
		Do:    rapid.SampledFrom(names).Draw(t, "do"),
		Offer: rapid.SampledFrom([]string{""}).Draw(t, "offer"),
		Start: rapid.IntRange(0, quarters-1).Draw(t, "start"),
		Party: rapid.IntRange(1, 4).Draw(t, "party"),
		Which: rapid.IntRange(0, 20).Draw(t, "which"),
	}
})
