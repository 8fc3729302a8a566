package booking_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

const clients = 16

func benchStore(b *testing.B) *booking.Store {
	b.Helper()
	db := testdb.Open(b, testdb.PQBinary, testdb.URL(b))
	db.SetMaxOpenConns(64)
	db.SetMaxIdleConns(64)
	b.SetParallelism(clients)
	return newStore(b, db)
}

func BenchmarkHold_ManyResources(b *testing.B) {
	store := benchStore(b)
	const resources = 100
	for n := range resources {
		create(b, store, func(r *booking.Resource) {
			r.Slug, r.Horizon, r.SlotLength = fmt.Sprintf("r%d", n), 3650*24*time.Hour, time.Minute
		})
	}
	first := slot(0)
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			req := request(first.Add(time.Duration(n/resources) * time.Minute))
			req.Resource = fmt.Sprintf("r%d", n%resources)
			if _, err := store.Hold(context.Background(), req); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkHold_SlotTaken(b *testing.B) {
	store := benchStore(b)
	create(b, store)
	hold(b, store, request(slot(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Hold(context.Background(), request(slot(0))); !errors.Is(err, booking.ErrSlotTaken) {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkConfirm(b *testing.B) {
	store := benchStore(b)
	create(b, store, func(r *booking.Resource) { r.Horizon, r.SlotLength = 3650*24*time.Hour, time.Minute })
	ids := make([]string, b.N)
	for n := range ids {
		ids[n] = hold(b, store, request(slot(0).Add(time.Duration(n)*time.Minute))).ID
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := store.Confirm(context.Background(), ids[next.Add(1)-1]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// A week of half-hour slots at capacity 50, with thousands of bookings.
func BenchmarkSlots_Week(b *testing.B) {
	store := benchStore(b)
	create(b, store, func(r *booking.Resource) { r.Capacity, r.SlotLength = 50, 30*time.Minute })
	for n := range 1000 {
		hold(b, store, request(slot(0).Add(time.Duration(n%336)*30*time.Minute)))
	}
	b.ReportAllocs()
	for b.Loop() {
		slots, err := store.Slots(context.Background(), "court", slot(0), slot(7*24), 1)
		require.NoError(b, err)
		require.Len(b, slots, 336)
	}
}

// A month of quarter-hour starts, without a database.
func BenchmarkStarts_Month(b *testing.B) {
	rules, err := booking.RulesOf(booking.Resource{TimeZone: "Europe/Paris", SlotLength: 15 * time.Minute,
		Hours: daily(540, 1080)})
	require.NoError(b, err)
	from := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		for range rules.Starts(from, from.AddDate(0, 1, 0)) {
		}
	}
}

// A month of hour slots every half hour, around the clock and nine tenths sold.
func BenchmarkFreeSlots_Month(b *testing.B) {
	from := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)
	to := from.AddDate(0, 1, 0)
	for _, capacity := range []int{1, 50} {
		b.Run("capacity="+strconv.Itoa(capacity), func(b *testing.B) {
			r := booking.Resource{TimeZone: "Europe/Paris", Capacity: capacity, SlotLength: time.Hour,
				SlotStep: 30 * time.Minute}
			rules, err := booking.RulesOf(r)
			require.NoError(b, err)
			random := rand.New(rand.NewPCG(1, 2))
			var stays []stay
			for range capacity {
				for start := from; start.Before(to); {
					if random.IntN(10) == 0 {
						start = start.Add(30 * time.Minute)
						continue
					}
					stays = append(stays, stay{start, start.Add(time.Hour), 1})
					start = start.Add(time.Hour)
				}
			}
			at, heads := changesOf(stays)
			taken := booking.Changes(at, heads)
			var slots []booking.Slot
			b.ReportAllocs()
			for b.Loop() {
				slots = rules.Free(from, to, from.Add(-time.Hour), 1, taken)
			}
			b.ReportMetric(float64(len(stays)), "bookings")
			b.ReportMetric(float64(len(at)), "changes")
			b.ReportMetric(float64(len(slots)), "slots")
		})
	}
}
