package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/booking"
)

// Calls of an operation in each round and at each size, of which the median counts.
const calls = 200

type sized struct {
	name, goal string
	prepared   bool
	do         func(ctx context.Context, f *filled, s *booking.Store, call int) error
}

// size: latency of one caller at a hundred thousand and at ten million bookings.
func (b *bench) size(ctx context.Context) error {
	rows := number("BENCH_ROWS", 10_000_000)
	var at []*filled
	defer func() {
		for _, f := range at {
			_ = f.Close()
			// Large databases are dropped even after an interrupt.
			_ = b.server.drop(context.WithoutCancel(ctx), f.name)
		}
	}()
	for _, n := range []int{min(rows/2, 100_000), rows} {
		f, err := b.fill(ctx, fmt.Sprintf("filled%d", n), n)
		if err != nil {
			return err
		}
		at = append(at, f)
	}
	slots := func(slug string) func(context.Context, *filled, *booking.Store, int) error {
		return func(ctx context.Context, f *filled, s *booking.Store, call int) error {
			from := f.midnight.AddDate(0, 0, 1+call%40)
			found, err := s.Slots(ctx, f.some(slug, call), from, from.AddDate(0, 0, 7), 1)
			if err == nil && len(found) < 7*(24-hoursOpen) {
				err = fmt.Errorf("%d slots", len(found))
			}
			return err
		}
	}
	operations := []sized{
		{"a week of slots, capacity 1", "1.5", false, slots("s")},
		{"a week of slots, capacity 50", "1.5", false, slots("l")},
		{"a week of slots, capacity 1, prepared", "1.5", true, slots("s")},
		{"a week of slots, capacity 50, prepared", "1.5", true, slots("l")},
		{"ReleaseExpired, nothing due", "under 5 ms", false,
			func(ctx context.Context, _ *filled, s *booking.Store, _ int) error {
				n, err := s.ReleaseExpired(ctx)
				if err == nil && n > 0 {
					err = fmt.Errorf("%d were due", n)
				}
				return err
			}},
		{"a hold, prepared", "", true, func(ctx context.Context, f *filled, s *booking.Store, _ int) error {
			// At night everything is free except for holds of earlier rounds.
			_, err := s.Hold(ctx, booking.HoldRequest{
				Resource: f.some("l", rand.Int()),
				Start:    f.midnight.AddDate(0, 0, 1+rand.IntN(40)).Add(time.Duration(rand.IntN(7)) * time.Hour),
				Customer: booking.Customer{FirstName: "Ada", LastName: "Lovelace", Email: "ada@example.com"},
			})
			return err
		}},
		{"a page of 50 bookings of a resource", "", false,
			func(ctx context.Context, f *filled, s *booking.Store, call int) error {
				page, err := s.List(ctx, booking.ListOptions{Resource: f.some("s", call)})
				if err == nil && len(page.Bookings) != 50 {
					err = fmt.Errorf("%d bookings", len(page.Bookings))
				}
				return err
			}},
	}
	return b.compare(ctx, at[0], at[1], operations)
}

// some returns the slug of a resource. The number of resources is the same at both sizes,
// and small enough for the cache.
func (f *filled) some(kind string, call int) string {
	most := 26
	if kind == "l" {
		most = 4
	}
	all := f.small
	if kind == "l" {
		all = f.large
	}
	some := min(most, all)
	return fmt.Sprintf("%s%d", kind, 1+call%some*(all/some))
}

// cpu is the CPU time of the connection's server process in ms; 0 where unknown.
func (f *filled) cpu() float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", f.backend))
	first, _, _ := strings.Cut(string(text), " ")
	nanoseconds, _ := strconv.ParseFloat(first, 64)
	return nanoseconds / 1e6
}

type timed struct{ wall, cpu []float64 }

// compare calls every operation at both sizes in turn. It prints times and the ratio
// within each round, by the caller's clock and by the server's CPU time, which does not
// depend on the machine's load.
func (b *bench) compare(ctx context.Context, small, large *filled, operations []sized) error {
	fmt.Printf("\n| one caller | ms at %d | ms at %d | ratio | lowest and highest "+
		"| server's CPU, ms | ratio | goal |\n"+
		"| --- | --- | --- | --- | --- | --- | --- | --- |\n", small.bookings, large.bookings)
	at := []*filled{small, large}
	for _, o := range operations {
		var took [2]timed
		var wall, cpu []float64
		var stores [2]*booking.Store
		for n, f := range at {
			var err error
			if stores[n], err = booking.New(f.DB, booking.Options{Prepare: o.prepared}); err != nil {
				return err
			}
		}
		// The first round warms up rules, plans and pages, and does not count.
		for round := range b.rounds + 1 {
			var times [2][]float64
			before := [2]float64{small.cpu(), large.cpu()}
			for call := range calls {
				for n, f := range at {
					began := time.Now()
					if err := o.do(ctx, f, stores[n], call); err != nil {
						return fmt.Errorf("%s: %w", o.name, err)
					}
					times[n] = append(times[n], float64(time.Since(began).Microseconds())/1000)
				}
			}
			if round == 0 {
				continue
			}
			for n, f := range at {
				took[n].wall = append(took[n].wall, median(times[n]))
				took[n].cpu = append(took[n].cpu, (f.cpu()-before[n])/calls)
			}
			wall = append(wall, took[1].wall[round-1]/took[0].wall[round-1])
			cpu = append(cpu, took[1].cpu[round-1]/took[0].cpu[round-1])
		}
		fmt.Printf("| %s | %.3f | %.3f | %.2f | %.2f to %.2f | %.3f, %.3f | %.2f | %s |\n", o.name,
			median(took[0].wall), median(took[1].wall),
			median(wall), slices.Min(wall), slices.Max(wall), median(took[0].cpu), median(took[1].cpu), median(cpu),
			o.goal)
	}
	fmt.Println()
	return nil
}
