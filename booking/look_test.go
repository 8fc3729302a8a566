package booking_test

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// found is what is in the database of a world.
type found struct {
	bookings map[string]booking.Booking
}

// The invariants of main_test.go, of one resource, and that the heads of those who hold units fit at every instant.
const (
	soldTwiceHere = soldTwice + ` AND a.resource_id = $1::uuid`
	oversoldHere  = `SELECT count(*) FROM (` + oversoldRows + ` AND b.resource_id = $1::uuid) AS o`
	tooManyHeads  = `
SELECT count(*) FROM booking_platform.bookings a JOIN booking_platform.resources r ON r.id = a.resource_id
WHERE a.active AND r.id = $1::uuid AND r.capacity < (
    SELECT sum(b.party) FROM booking_platform.bookings b WHERE b.active AND b.resource_id = r.id AND b.blocked @> lower(a.blocked)
)`
)

// oversoldRows is oversold, of which only those that keep their units can be asked: a capacity may have been lowered since
// the others ended.
const oversoldRows = `
SELECT 1 FROM booking_platform.bookings b JOIN booking_platform.resources r ON r.id = b.resource_id
WHERE (b.active AND NOT b.units <@ int4range(1, r.capacity + 1)
   OR b.party <> (SELECT sum(upper(u) - lower(u)) FROM unnest(b.units) AS u))`

func (w *world) look() (found, error) {
	ctx := context.Background()
	// In this order: what is sold twice may be too many heads too.
	for _, wrong := range []struct{ name, query string }{
		{"sold twice", soldTwiceHere}, {"wrong units", oversoldHere}, {"too many heads", tooManyHeads},
	} {
		var n int
		if err := w.db.QueryRowContext(ctx, wrong.query, w.id).Scan(&n); err != nil {
			return found{}, err
		}
		if n > 0 {
			return found{}, fmt.Errorf("%d bookings: %s; before: %s", n, wrong.name, w.model)
		}
	}
	page, err := w.stores[0].List(ctx, booking.ListOptions{Resource: w.slug, Limit: 500})
	out := found{bookings: map[string]booking.Booking{}}
	for _, b := range page.Bookings {
		out.bookings[b.ID] = b
	}
	return out, err
}

// is tells in what the database differs from the model. Holds of which either may be true are taken over from it.
func (f found) is(m *model) error {
	if len(f.bookings) != len(m.bookings) {
		return fmt.Errorf("%d bookings and not %d", len(f.bookings), len(m.bookings))
	}
	for i := range m.bookings {
		b := &m.bookings[i]
		got, ok := f.bookings[b.id]
		if !ok {
			return fmt.Errorf("%s is not there", b.id)
		}
		if b.status == booking.Pending && b.shaky && got.Status == booking.Expired {
			b.become(booking.Expired, anybody, "")
		}
		if b.shaky = false; got.Status != b.status {
			return fmt.Errorf("%s is %s and not %s", b.id, got.Status, b.status)
		}
		// Whether its time has passed shows in no status: where somebody extended a hold and somebody else let it lapse at once, this
		// alone tells which came last.
		if lapsed := !got.HoldExpiresAt.After(time.Now()); b.status == booking.Pending && b.lapsed != lapsed {
			return fmt.Errorf("%s lapsed %t and not %t", b.id, lapsed, b.lapsed)
		}
		want := []any{b.kind, b.offer, b.start, b.end, b.party, b.amount}
		if has := []any{got.Kind, got.Offer, got.Start, got.End, got.Party, got.Amount.Minor}; !reflect.DeepEqual(want, has) {
			return fmt.Errorf("%s is %v and not %v", b.id, has, want)
		}
	}
	return nil
}

// compareSlots compares what can be booked with the model, for every offer and for parties of one and more.
func (w *world) compareSlots() error {
	from, to := w.base, w.at(quarters)
	for offer := range w.model.offers {
		for _, party := range []int{1, 3} {
			slots, err := w.stores[1].Slots(context.Background(), w.slug, from, to, party)
			if err != nil {
				return err
			}
			if want := w.model.slots(offer, from, to, party); !reflect.DeepEqual(want, slots) {
				return fmt.Errorf("slots of %q for %d are\n%v and not\n%v: %s", offer, party, short(slots), short(want), w.model)
			}
		}
	}
	return nil
}

func short(slots []booking.Slot) (out []string) {
	for _, s := range slots {
		out = append(out, fmt.Sprintf("%s: %d", s.Start.Format(time.TimeOnly), s.Remaining))
	}
	return out
}
