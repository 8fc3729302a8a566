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

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// quarters of an hour are the world's length, short so that bookings collide.
const quarters = 16

type modelRun struct {
	db       *sql.DB
	stores   []*booking.Store
	resource booking.Resource
	slug     string
	id       string
	base     time.Time
	// A customer can cancel and move what starts after free without a fee, after closed
	// for half of the amount.
	free, closed time.Time
	model        model
	compared     int
}

var worlds atomic.Int64

// The database is shared. onChange is that of the stores.
func newModelRun(db *sql.DB, capacity int,
	onChange ...func(context.Context, booking.HookTx, booking.Changed) error) (*modelRun, error) {
	w := &modelRun{db: db, slug: fmt.Sprintf("world-%d", worlds.Add(1)),
		base: time.Now().UTC().Truncate(24 * time.Hour).Add(48 * time.Hour)}
	for range 3 {
		var opts booking.Options
		if len(onChange) > 0 {
			opts.OnChange = onChange[0]
		}
		s, err := booking.New(db, opts)
		if err != nil {
			return nil, err
		}
		w.stores = append(w.stores, s)
	}
	w.free, w.closed = w.at(8).Add(7*time.Minute), w.at(4).Add(7*time.Minute)
	before := func(t time.Time) time.Duration { return time.Until(t).Truncate(time.Second) }
	var err error
	w.resource, err = w.stores[0].CreateResource(context.Background(), booking.Resource{
		Slug: w.slug, Name: "World", TimeZone: "UTC", Capacity: capacity, SlotLength: time.Hour,
		SlotStep: 75 * time.Minute,
		// The buffer overlaps the next slot.
		BufferAfter: 20 * time.Minute, Price: booking.Money{Minor: 1000, Currency: "eur"},
		Policy: booking.Policy{FreeUntil: before(w.free), ClosedFrom: before(w.closed), FeePercent: 50},
		Offers: []booking.Offer{{
			Slug: "long", Name: "Long", SlotLength: 105 * time.Minute, SlotStep: 30 * time.Minute,
			BufferBefore: 15 * time.Minute,
			Price:        booking.Money{Minor: 1500},
		}},
	})
	w.id = w.resource.ID
	w.model = model{capacity: capacity, offers: map[string]modelOffer{
		"":     {length: time.Hour, step: 75 * time.Minute, after: 20 * time.Minute, price: 1000},
		"long": {length: 105 * time.Minute, step: 30 * time.Minute, before: 15 * time.Minute, price: 1500},
	}}
	return w, err
}

func (w *modelRun) at(quarter int) time.Time {
	return w.base.Add(time.Duration(quarter) * 15 * time.Minute)
}

// target returns the operation's booking; false if there is none.
func (w *modelRun) target(a modelOp) (modelOp, *modelBooking, bool) {
	if !modelOps[a.Do].about {
		return a, nil, true
	}
	if len(w.model.bookings) == 0 {
		return a, nil, false
	}
	b := &w.model.bookings[a.Which%len(w.model.bookings)]
	if a.Do == "repeat" {
		return b.asked, nil, true
	}
	return a, b, true
}

func (w *modelRun) do(n int, a modelOp, id string) opResult {
	by := fmt.Sprintf("user:%d@example.com", n)
	ctx, cancel := context.WithTimeout(booking.WithActor(context.Background(), by), time.Minute)
	defer cancel()
	b, err := modelOps[a.Do].do(w, ctx, w.stores[n%len(w.stores)], a, id)
	return opResult{class: classify(err), booking: b, by: by}
}

// batch runs operations concurrently, on several stores, and searches for an order in
// which the model gives the same answers and the same database.
func (w *modelRun) batch(drawn []modelOp) error {
	w.model.alone, w.model.wanted = len(drawn) == 1, nil
	var batch []modelOp
	var ids []string
	for _, a := range drawn {
		a, b, ok := w.target(a)
		if !ok {
			continue
		}
		id := ""
		if b != nil {
			id = b.id
		}
		if wants := modelOps[a.Do].wants; wants != nil {
			w.model.wanted = append(w.model.wanted, wants(w, a, b))
		}
		batch, ids = append(batch, a), append(ids, id)
	}
	got := make([]opResult, len(batch))
	var wg sync.WaitGroup
	for n, a := range batch {
		wg.Go(func() { got[n] = w.do(n, a, ids[n]) })
	}
	wg.Wait()
	found, err := w.readState()
	if err != nil {
		return err
	}
	var reasons []error
	for order := range orders(len(batch)) {
		m := w.model.clone()
		err := w.explain(&m, order, batch, ids, got)
		if err == nil {
			err = found.compare(&m)
		}
		if err == nil {
			w.model = m
			return w.compareSlots()
		}
		reasons = append(reasons, fmt.Errorf("order %v: %w", order, err))
	}
	said := ""
	for n, a := range batch {
		said += fmt.Sprintf("\n  %+v of %q: %s %s", a, ids[n], got[n].class, got[n].booking.ID)
	}
	return fmt.Errorf("no order explains it:%s\nbefore: %s\nfound: %v\n%w", said, w.model, found,
		errors.Join(reasons...))
}

func (w *modelRun) explain(m *model, order []int, batch []modelOp, ids []string, got []opResult) error {
	for _, n := range order {
		k, b := modelOps[batch[n].Do], m.find(ids[n])
		if b == nil {
			if !k.explain(w, m, batch[n], nil, got[n]) {
				return fmt.Errorf("%+v: unexpected %q in %s", batch[n], got[n].class, m)
			}
			continue
		}
		was := b.clone()
		if k.explain(w, m, batch[n], b, got[n]) {
			continue
		}
		*b = was
		if m.mayHaveEnded(b) {
			b.become(booking.StatusExpired, anyActor, "")
			if k.explain(w, m, batch[n], b, got[n]) {
				continue
			}
		}
		return fmt.Errorf("%+v: unexpected %q in %s", batch[n], got[n].class, m)
	}
	return nil
}

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

// holdAllListed holds all that the slots of every offer list.
func (w *modelRun) holdAllListed() error {
	for _, offer := range []string{"", "long"} {
		for {
			slots := w.model.slots(offer, w.base, w.at(quarters), 1)
			if len(slots) == 0 {
				break
			}
			s := slots[0]
			a := modelOp{Do: "hold", Offer: offer, Start: int(s.Start.Sub(w.base) / (15 * time.Minute)),
				Party: s.Remaining}
			if err := w.batch([]modelOp{a}); err != nil {
				return err
			}
			if b := w.model.bookings[len(w.model.bookings)-1]; !b.start.Equal(s.Start) || b.party != s.Remaining {
				return fmt.Errorf("%d of the slot at %s were listed but not held: %s", s.Remaining, s.Start, w.model)
			}
		}
	}
	return nil
}

// Slots and bookings equal the model's after each operation.
func TestModel_Sequential(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PGX, testdb.URL(t))
	rapid.Check(t, func(t *rapid.T) {
		w, err := newModelRun(db, rapid.IntRange(1, 5).Draw(t, "capacity"))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range rapid.SliceOfN(drawOp, 8, 30).Draw(t, "operations") {
			if err := w.batch([]modelOp{a}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.holdAllListed(); err != nil {
			t.Fatal(err)
		}
	})
}

// Some order of a few operations at once must explain the answers and the database.
func TestModel_Concurrent(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PGX, testdb.URL(t))
	rapid.Check(t, func(t *rapid.T) {
		w, err := newModelRun(db, rapid.IntRange(1, 5).Draw(t, "capacity"))
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range rapid.SliceOfN(rapid.SliceOfN(drawOp, 1, 4), 4, 10).Draw(t, "batches") {
			if err := w.batch(batch); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.holdAllListed(); err != nil {
			t.Fatal(err)
		}
	})
}

// slowInserts makes clients that saw the same free units insert concurrently.
const slowInserts = `
CREATE FUNCTION slowInserts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$;
CREATE TRIGGER slowInserts BEFORE INSERT ON booking_platform.bookings FOR EACH ROW EXECUTE FUNCTION slowInserts()`

// Without the constraint the model reports a slot sold twice.
func TestModel_ControlWithoutConstraint(t *testing.T) {
	t.Parallel()
	const drop = `ALTER TABLE booking_platform.bookings DROP CONSTRAINT bookings_no_overlap`
	tests := map[string]struct {
		statements []string
		seeds      int
		fails      bool
	}{
		"with the constraint": {statements: []string{slowInserts}, seeds: 3},
		"without it":          {statements: []string{slowInserts, drop}, seeds: 10, fails: true},
	}
	batches := rapid.SliceOfN(rapid.SliceOfN(drawOp, 3, 4), 4, 8)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			for _, statement := range test.statements {
				exec(t, db, statement)
			}
			var failure error
			for seed := 0; seed < test.seeds && failure == nil; seed++ {
				w, err := newModelRun(db, 1)
				require.NoError(t, err)
				for _, batch := range batches.Example(seed) {
					// The first two want the same slot.
					batch[0] = modelOp{Do: "hold", Party: 1}
					batch[1] = batch[0]
					if failure = w.batch(batch); failure != nil {
						break
					}
					if b := w.model.bookings[0]; b.status == booking.StatusPending {
						require.NoError(t, w.batch([]modelOp{{Do: "cancel"}}))
					}
				}
			}
			if test.fails {
				require.ErrorContains(t, failure, "sold twice")
				return
			}
			require.NoError(t, failure)
		})
	}
}
