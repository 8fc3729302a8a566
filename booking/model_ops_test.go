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

// modelOp is one random operation, as data that rapid can shrink and print.
type modelOp struct {
	// Do is a key of modelOps.
	Do string
	// Start is in quarters of an hour after modelRun.base.
	Offer        string
	Start, Party int
	// Key numbers the idempotency keys; 0 means none.
	Key int
	// Which selects the booking, modulo their number.
	Which int
}

// opResult is "ok" or a class of error.
type opResult struct {
	class   string
	booking booking.Booking
	// by is the actor in the history.
	by string
}

// explain reports whether the model allows an answer, and applies it.
type opKind struct {
	do      func(w *modelRun, ctx context.Context, store *booking.Store, a modelOp, id string) (booking.Booking, error)
	explain func(w *modelRun, m *model, a modelOp, b *modelBooking, got opResult) bool
	// wants is the range in which the operation needs units, where it may expire holds.
	wants func(w *modelRun, a modelOp, b *modelBooking) span
	// weight is the relative frequency; about needs an existing booking.
	weight int
	about  bool
}

type span struct{ from, to time.Time }

// everywhere is for operations that look at all bookings of the resource.
func everywhere(*modelRun, modelOp, *modelBooking) span {
	return span{time.Time{}, time.Unix(1<<40, 0)}
}

var modelOps = map[string]opKind{}

func init() {
	for _, some := range []map[string]opKind{holding, ending, moving, timePasses} {
		for name, k := range some {
			modelOps[name] = k
		}
	}
}

var holding = map[string]opKind{
	"hold": {weight: 8, do: doHold, explain: explainHold, wants: wantHold},
	// Sends the request of an earlier hold again; see modelRun.batch.
	"repeat": {weight: 1, about: true},
	"confirm": {weight: 3, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Confirm(ctx, id)
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			switch {
			case b.status == booking.StatusPending && !b.lapsed:
				return got.ends(b, booking.StatusConfirmed, "")
			case b.status == booking.StatusPending || b.status == booking.StatusExpired:
				return got.class == "expired"
			}
			return got.settled(b, booking.StatusConfirmed)
		}},
	"confirm late": {weight: 1, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.ConfirmLate(ctx, id)
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			if b.status == booking.StatusPending {
				return got.ends(b, booking.StatusConfirmed, "")
			}
			return b.status == booking.StatusExpired && got.class == "expired" ||
				got.settled(b, booking.StatusConfirmed)
		}},
	"extend": {weight: 1, about: true,
		do: func(w *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Extend(ctx, id, w.base)
		},
		explain: func(_ *modelRun, _ *model, _ modelOp, b *modelBooking, got opResult) bool {
			switch b.status {
			case booking.StatusPending:
				b.lapsed = false
				return got.class == "ok"
			case booking.StatusExpired:
				return got.class == "expired"
			}
			return got.class == "status "+string(b.status)
		}},
}

func (w *modelRun) request(a modelOp) booking.HoldRequest {
	req := booking.HoldRequest{Resource: w.slug, Offer: a.Offer, Start: w.at(a.Start), Party: a.Party, Customer: ada}
	if a.Key > 0 {
		req.IdempotencyKey = fmt.Sprint(w.slug, " ", a.Key)
	}
	return req
}

func doHold(w *modelRun, ctx context.Context, s *booking.Store, a modelOp, _ string) (booking.Booking, error) {
	return s.Hold(ctx, w.request(a))
}

func wantHold(w *modelRun, a modelOp, _ *modelBooking) span {
	from, to := w.model.offers[a.Offer].blocked(w.at(a.Start))
	return span{from, to}
}

func explainHold(w *modelRun, m *model, a modelOp, _ *modelBooking, got opResult) bool {
	offer, start := m.offers[a.Offer], w.at(a.Start)
	if first := m.keyed(a.Key); first != nil {
		if asked := first.asked; asked.Offer != a.Offer || asked.Start != a.Start || asked.Party != a.Party {
			return got.class == "mismatch"
		}
		return got.class == "ok" && got.booking.ID == first.id &&
			got.booking.IdempotencyKey == w.request(a).IdempotencyKey
	}
	switch onGrid := offer.isStart(start); {
	case !onGrid && a.Party > m.capacity:
		return got.class == "invalid party, start"
	case !onGrid:
		return got.class == "invalid start"
	case a.Party > m.capacity:
		return got.class == "invalid party"
	}
	from, to := offer.blocked(start)
	if m.unitsInUse(from, to, "")+a.Party > m.capacity {
		return got.class == "taken"
	}
	b := modelBooking{
		id: got.booking.ID, kind: booking.KindBooking, asked: a, key: a.Key, offer: a.Offer, start: start,
		end: start.Add(offer.length), from: from, to: to,
		party: a.Party, amount: offer.price * int64(a.Party),
	}
	b.become(booking.StatusPending, got.by, "")
	m.bookings = append(m.bookings, b)
	return got.class == "ok" && m.known(got.booking.ID) == 1
}

// ends applies a change of status, and reports whether the answer fits.
func (got opResult) ends(b *modelBooking, status booking.Status, reason string) bool {
	b.become(status, got.by, reason)
	return got.class == "ok" && got.booking.Status == status
}

// settled reports whether the answer fits where there is nothing to change.
func (got opResult) settled(b *modelBooking, settled booking.Status) bool {
	if b.status == settled {
		return got.class == "ok" && got.booking.Status == settled
	}
	return got.class == "status "+string(b.status)
}

// An unexpected error matches no explanation.
func classify(err error) string {
	var status *booking.StatusError
	var invalid *booking.ValidationError
	var small *booking.CapacityError
	for target, class := range map[error]string{
		booking.ErrSlotTaken: "taken", booking.ErrHoldExpired: "expired", booking.ErrPolicy: "policy",
		booking.ErrSlotGone:            "gone",
		booking.ErrIdempotencyMismatch: "mismatch", booking.ErrNotBegun: "not begun",
	} {
		if errors.Is(err, target) {
			return class
		}
	}
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &small):
		return fmt.Sprintf("sold %d", small.Sold)
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

var starts = []int{0, 0, 10, 10, 5, 5, 15, 2, 4, 6, 8, 12, 14, 7}

// drawOp draws three of four operations without a key.
var drawOp = rapid.Custom(func(t *rapid.T) modelOp {
	var names []string
	for name, k := range modelOps {
		for range k.weight {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return modelOp{
		Do:    rapid.SampledFrom(names).Draw(t, "do"),
		Offer: rapid.SampledFrom([]string{"", "", "long"}).Draw(t, "offer"),
		Start: rapid.SampledFrom(starts).Draw(t, "start"),
		Party: rapid.IntRange(1, 4).Draw(t, "party"),
		Key:   max(0, rapid.IntRange(-5, 2).Draw(t, "key")),
		Which: rapid.IntRange(0, 20).Draw(t, "which"),
	}
})

// moving operations lock the resource: they change times, units or capacity.
var moving = map[string]opKind{
	"move": {weight: 3, about: true, explain: explainMove, wants: wantMove,
		do: func(w *modelRun, ctx context.Context, s *booking.Store, a modelOp, id string) (booking.Booking, error) {
			r, err := s.Reschedule(ctx, booking.RescheduleRequest{ID: id, Start: w.at(a.Start), Reason: "moved"})
			return r.Booking, err
		}},
	"move by the customer": {weight: 1, about: true, wants: wantMove,
		do: func(w *modelRun, ctx context.Context, s *booking.Store, a modelOp, id string) (booking.Booking, error) {
			r, err := s.Reschedule(ctx, booking.RescheduleRequest{ID: id, Start: w.at(a.Start), Reason: "moved",
				ByCustomer: true})
			return r.Booking, err
		},
		explain: func(w *modelRun, m *model, a modelOp, b *modelBooking, got opResult) bool {
			if b.counts() && b.kind == booking.KindBooking && !b.start.After(w.free) {
				return got.class == "policy"
			}
			return explainMove(w, m, a, b, got)
		}},
	"retake": {weight: 3, about: true,
		do: func(_ *modelRun, ctx context.Context, s *booking.Store, _ modelOp, id string) (booking.Booking, error) {
			return s.Retake(ctx, id)
		},
		wants: func(_ *modelRun, _ modelOp, b *modelBooking) span { return span{b.from, b.to} },
		explain: func(_ *modelRun, m *model, _ modelOp, b *modelBooking, got opResult) bool {
			switch {
			case b.status == booking.StatusConfirmed && b.kind == booking.KindBooking:
				return got.settled(b, booking.StatusConfirmed)
			case b.status != booking.StatusExpired:
				return got.class == "status "+string(b.status)
			case m.unitsInUse(b.from, b.to, "")+b.party > m.capacity:
				return got.class == "taken"
			}
			return got.ends(b, booking.StatusConfirmed, "")
		}},
	"block": {weight: 1,
		do: func(w *modelRun, ctx context.Context, s *booking.Store, a modelOp, _ string) (booking.Booking, error) {
			at := w.blocks(a)
			return s.Block(ctx, booking.BlockRequest{Resource: w.slug, From: at.from, To: at.to, Units: a.Party,
				Reason: "paint"})
		},
		wants: func(w *modelRun, a modelOp, _ *modelBooking) span { return w.blocks(a) },
		explain: func(w *modelRun, m *model, a modelOp, _ *modelBooking, got opResult) bool {
			at := w.blocks(a)
			switch {
			case a.Party > m.capacity:
				return got.class == "invalid units"
			case m.unitsInUse(at.from, at.to, "")+a.Party > m.capacity:
				return got.class == "taken"
			}
			b := modelBooking{id: got.booking.ID, kind: booking.KindBlock,
				asked: modelOp{Do: "hold", Start: a.Start, Party: a.Party},
				start: at.from, end: at.to, from: at.from, to: at.to, party: a.Party}
			b.become(booking.StatusConfirmed, got.by, "paint")
			m.bookings = append(m.bookings, b)
			return got.class == "ok"
		}},
	// Sets the capacity to the party, or one more.
	"capacity": {weight: 2, wants: everywhere,
		do: func(w *modelRun, ctx context.Context, s *booking.Store, a modelOp, _ string) (booking.Booking, error) {
			r := w.resource
			r.Capacity = a.Party + a.Which%2
			_, err := s.ApplyResource(ctx, r, booking.ApplyOptions{})
			return booking.Booking{}, err
		},
		explain: func(w *modelRun, m *model, a modelOp, _ *modelBooking, got opResult) bool {
			capacity := a.Party + a.Which%2
			for i := range m.bookings {
				if b := &m.bookings[i]; m.alone && capacity < m.capacity && b.status == booking.StatusPending &&
					b.lapsed {
					b.become(booking.StatusExpired, got.by, "")
				}
			}
			// Past bookings do not count.
			if heads := m.unitsInUse(w.base.Add(-24*time.Hour), time.Unix(1<<40, 0), ""); capacity < m.capacity &&
				heads > capacity {
				return got.class == fmt.Sprintf("sold %d", heads)
			}
			m.capacity = capacity
			return got.class == "ok"
		}},
}

// blocks is not aligned to slots.
func (w *modelRun) blocks(a modelOp) span {
	from := w.at(a.Start).Add(5 * time.Minute)
	return span{from, from.Add(time.Duration(1+a.Which%8) * 20 * time.Minute)}
}

func wantMove(w *modelRun, a modelOp, b *modelBooking) span {
	from, to := w.model.offers[b.offer].blocked(w.at(a.Start))
	return span{from, to}
}

func explainMove(w *modelRun, m *model, a modelOp, b *modelBooking, got opResult) bool {
	offer, start := m.offers[b.offer], w.at(a.Start)
	switch {
	case b.status == booking.StatusPending && b.lapsed:
		return got.class == "expired"
	case !b.open() || b.kind != booking.KindBooking:
		return got.class == "status "+string(b.status)
	case b.start.Equal(start):
		return got.class == "ok" && got.booking.Sequence == b.sequence
	case !offer.isStart(start):
		return got.class == "invalid start"
	}
	from, to := offer.blocked(start)
	if m.unitsInUse(from, to, b.id)+b.party > m.capacity {
		return got.class == "taken"
	}
	b.history = append(b.history, change{from: b.status, to: b.status, fromStart: b.start, toStart: start,
		actor: got.by, reason: "moved"})
	b.start, b.end, b.from, b.to = start, start.Add(offer.length), from, to
	b.begun = 0
	b.sequence++
	return got.class == "ok" && got.booking.Start.Equal(start) && got.booking.Sequence == b.sequence
}
