package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// quarters is how many quarters of an hour the world is long: everybody is in everybody's way.
const quarters = 16

// world is a resource in a real database, and the model of it.
type world struct {
	db     *sql.DB
	stores []*booking.Store
	slug   string
	id     string
	base   time.Time
	model  model
}

var worlds atomic.Int64

// newWorld makes a resource of its own in a database that others share.
func newWorld(db *sql.DB, capacity int) (*world, error) {
	w := &world{db: db, slug: fmt.Sprintf("world-%d", worlds.Add(1)), base: time.Now().UTC().Truncate(24 * time.Hour).Add(48 * time.Hour)}
	for range 3 {
		s, err := booking.New(db, booking.Options{})
		if err != nil {
			return nil, err
		}
		w.stores = append(w.stores, s)
	}
	r, err := w.stores[0].CreateResource(context.Background(), booking.Resource{
		Slug: w.slug, Name: "World", TimeZone: "UTC", Capacity: capacity, SlotLength: time.Hour, SlotStep: 75 * time.Minute,
		BufferAfter: 15 * time.Minute, Price: booking.Money{Minor: 1000, Currency: "eur"},
	})
	w.id = r.ID
	w.model = model{capacity: capacity, offers: map[string]sale{
		"": {length: time.Hour, step: 75 * time.Minute, after: 15 * time.Minute, price: 1000},
	}}
	return w, err
}

func (w *world) at(quarter int) time.Time {
	return w.base.Add(time.Duration(quarter) * 15 * time.Minute)
}

// target is the booking an act is about, by those there are now; false when it is about one and there is none.
func (w *world) target(a act) (id string, ok bool) {
	if !acts[a.Do].about {
		return "", true
	}
	if len(w.model.bookings) == 0 {
		return "", false
	}
	return w.model.bookings[a.Which%len(w.model.bookings)].id, true
}

func (w *world) do(store *booking.Store, a act, id string) answer {
	ctx, cancel := context.WithTimeout(booking.WithActor(context.Background(), actor), time.Minute)
	defer cancel()
	b, err := acts[a.Do].do(w, ctx, store, a, id)
	return answer{class: classify(err), booking: b}
}

// batch does some acts at once, each on a store of its own as on replicas, and looks for an order in which one after
// the other they would have ended so and left the database as it is. One act alone is a batch too.
func (w *world) batch(batch []act) error {
	ids, got := make([]string, 0, len(batch)), make([]answer, len(batch))
	for n, a := range batch {
		id, ok := w.target(a)
		if !ok {
			batch = batch[:n]
			break
		}
		ids = append(ids, id)
	}
	var wg sync.WaitGroup
	for n, a := range batch {
		wg.Go(func() { got[n] = w.do(w.stores[n%len(w.stores)], a, ids[n]) })
	}
	wg.Wait()
	found, err := w.look()
	if err != nil {
		return err
	}
	w.model.alone = len(batch) == 1
	var reasons []error
	for order := range orders(len(batch)) {
		m := w.model.clone()
		err := w.explain(&m, order, batch, ids, got)
		if err == nil {
			err = found.is(&m)
		}
		if err == nil {
			w.model = m
			return w.compareSlots()
		}
		reasons = append(reasons, fmt.Errorf("in the order %v: %w", order, err))
	}
	if len(reasons) == 0 {
		return nil
	}
	said := ""
	for n, a := range batch {
		said += fmt.Sprintf("\n  %+v of %q: %s %s", a, ids[n], got[n].class, got[n].booking.ID)
	}
	return fmt.Errorf("no order explains it:%s\nbefore: %s\nfound: %v\n%w", said, w.model, found, errors.Join(reasons...))
}

// explain does the acts to the model in an order.
func (w *world) explain(m *model, order []int, batch []act, ids []string, got []answer) error {
	for _, n := range order {
		b := m.find(ids[n])
		if !acts[batch[n].Do].explain(w, m, batch[n], b, got[n]) {
			return fmt.Errorf("%+v: %q is not what follows from %s", batch[n], got[n].class, m)
		}
	}
	return nil
}

// orders yields every order of n things.
func orders(n int) func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		var permute func(from int) bool
		permute = func(from int) bool {
			if from >= n {
				return yield(slices.Clone(order))
			}
			for i := from; i < n; i++ {
				order[from], order[i] = order[i], order[from]
				ok := permute(from + 1)
				order[from], order[i] = order[i], order[from]
				if !ok {
					return false
				}
			}
			return true
		}
		permute(0)
	}
}

// bookToTheLast books everything that the slots promise: what remains, slot by slot, until nothing does.
func (w *world) bookToTheLast() error {
	for {
		slots, err := w.stores[0].Slots(context.Background(), w.slug, w.base, w.at(quarters), 1)
		if err != nil || len(slots) == 0 {
			return err
		}
		s := slots[0]
		a := act{Do: "hold", Start: int(s.Start.Sub(w.base) / (15 * time.Minute)), Party: s.Remaining}
		if err := w.batch([]act{a}); err != nil {
			return err
		}
		if b := w.model.bookings[len(w.model.bookings)-1]; !b.start.Equal(s.Start) || b.party != s.Remaining {
			return fmt.Errorf("%d of the slot at %s were promised and not sold: %s", s.Remaining, s.Start, w.model)
		}
	}
}

// TestMachine does random acts one after the other. After each, slots and bookings are the model's.
func TestMachine(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	rapid.Check(t, func(t *rapid.T) {
		w, err := newWorld(db, rapid.IntRange(1, 5).Draw(t, "capacity"))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range rapid.SliceOfN(drawAct, 1, 40).Draw(t, "acts") {
			if err := w.batch([]act{a}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.bookToTheLast(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMachineOfSeveral does a few random acts at once, again and again: some order of them has to explain what each was
// answered and what is in the database.
func TestMachineOfSeveral(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	rapid.Check(t, func(t *rapid.T) {
		w, err := newWorld(db, rapid.IntRange(1, 5).Draw(t, "capacity"))
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range rapid.SliceOfN(rapid.SliceOfN(drawAct, 1, 4), 1, 12).Draw(t, "batches") {
			if err := w.batch(batch); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.bookToTheLast(); err != nil {
			t.Fatal(err)
		}
	})
}
