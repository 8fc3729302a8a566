package booking_test

import (
	"context"
	"fmt"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// moving are the acts that lock the resource: they put bookings on other times and units,
// or change how many units there are.
var moving = map[string]kind{
	"move": {weight: 3, about: true, explain: explainMove, wants: wantMove,
		do: func(w *world, ctx context.Context, s *booking.Store, a act, id string) (booking.Booking, error) {
			r, err := s.Reschedule(ctx, booking.RescheduleRequest{ID: id, Start: w.at(a.Start), Reason: "moved"})
			return r.Booking, err
		}},
	"move by the customer": {weight: 1, about: true, wants: wantMove,
		do: func(w *world, ctx context.Context, s *booking.Store, a act, id string) (booking.Booking, error) {
			r, err := s.Reschedule(ctx, booking.RescheduleRequest{ID: id, Start: w.at(a.Start), Reason: "moved",
				ByCustomer: true})
			return r.Booking, err
		},
		explain: func(w *world, m *model, a act, b *sold, got answer) bool {
			if b.counts() && b.kind == booking.Sold && !b.start.After(w.free) {
				return got.class == "policy"
			}
			return explainMove(w, m, a, b, got)
		}},
	"retake": {weight: 3, about: true,
		do: func(_ *world, ctx context.Context, s *booking.Store, _ act, id string) (booking.Booking, error) {
			return s.Retake(ctx, id)
		},
		wants: func(_ *world, _ act, b *sold) span { return span{b.from, b.to} },
		explain: func(_ *world, m *model, _ act, b *sold, got answer) bool {
			switch {
			case b.status == booking.Confirmed && b.kind == booking.Sold:
				return got.settled(b, booking.Confirmed)
			case b.status != booking.Expired:
				return got.class == "status "+string(b.status)
			case m.heads(b.from, b.to, "")+b.party > m.capacity:
				return got.class == "taken"
			}
			return got.ends(b, booking.Confirmed, "")
		}},
	"block": {weight: 1,
		do: func(w *world, ctx context.Context, s *booking.Store, a act, _ string) (booking.Booking, error) {
			at := w.blocks(a)
			return s.Block(ctx, booking.BlockRequest{Resource: w.slug, From: at.from, To: at.to, Units: a.Party,
				Reason: "paint"})
		},
		wants: func(w *world, a act, _ *sold) span { return w.blocks(a) },
		explain: func(w *world, m *model, a act, _ *sold, got answer) bool {
			at := w.blocks(a)
			switch {
			case a.Party > m.capacity:
				return got.class == "invalid units"
			case m.heads(at.from, at.to, "")+a.Party > m.capacity:
				return got.class == "taken"
			}
			b := sold{id: got.booking.ID, kind: booking.Block, asked: act{Do: "hold", Start: a.Start, Party: a.Party},
				start: at.from, end: at.to, from: at.from, to: at.to, party: a.Party}
			b.become(booking.Confirmed, got.by, "paint")
			m.bookings = append(m.bookings, b)
			return got.class == "ok"
		}},
	// Up or down to the party, or one more than it.
	"capacity": {weight: 2, wants: everywhere,
		do: func(w *world, ctx context.Context, s *booking.Store, a act, _ string) (booking.Booking, error) {
			r := w.resource
			r.Capacity = a.Party + a.Which%2
			_, err := s.ApplyResource(ctx, r, booking.ApplyOptions{})
			return booking.Booking{}, err
		},
		explain: func(w *world, m *model, a act, _ *sold, got answer) bool {
			capacity := a.Party + a.Which%2
			for i := range m.bookings {
				if b := &m.bookings[i]; m.alone && capacity < m.capacity && b.status == booking.Pending && b.lapsed {
					b.become(booking.Expired, got.by, "")
				}
			}
			// What is over does not count.
			if heads := m.heads(w.base.Add(-24*time.Hour), time.Unix(1<<40, 0), ""); capacity < m.capacity &&
				heads > capacity {
				return got.class == fmt.Sprintf("sold %d", heads)
			}
			m.capacity = capacity
			return got.class == "ok"
		}},
}

// blocks is the time of a block, on no grid.
func (w *world) blocks(a act) span {
	from := w.at(a.Start).Add(5 * time.Minute)
	return span{from, from.Add(time.Duration(1+a.Which%8) * 20 * time.Minute)}
}

func wantMove(w *world, a act, b *sold) span {
	from, to := w.model.offers[b.offer].blocked(w.at(a.Start))
	return span{from, to}
}

func explainMove(w *world, m *model, a act, b *sold, got answer) bool {
	offer, start := m.offers[b.offer], w.at(a.Start)
	switch {
	case b.status == booking.Pending && b.lapsed:
		return got.class == "expired"
	case !b.open() || b.kind != booking.Sold:
		return got.class == "status "+string(b.status)
	case b.start.Equal(start):
		return got.class == "ok" && got.booking.Sequence == b.sequence
	case !offer.isStart(start):
		return got.class == "invalid start"
	}
	from, to := offer.blocked(start)
	if m.heads(from, to, b.id)+b.party > m.capacity {
		return got.class == "taken"
	}
	b.history = append(b.history, change{from: b.status, to: b.status, fromStart: b.start, toStart: start,
		actor: got.by, reason: "moved"})
	b.start, b.end, b.from, b.to = start, start.Add(offer.length), from, to
	b.begun = 0
	b.sequence++
	return got.class == "ok" && got.booking.Start.Equal(start) && got.booking.Sequence == b.sequence
}
