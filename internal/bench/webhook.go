package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/hostprocess"
	"github.com/booking-platform/booking-platform/payments/stripetest"
)

// A checkout.session.completed as Stripe sends it. Each run of twelve zeros is replaced
// by the number of the event.
//
//go:embed event.json
var eventTemplate []byte

const hookSecret = "whsec_bench_0123456789abcdef"

// webhook: signed events through the host, each for an unpaid booking.
func (b *bench) webhook(ctx context.Context) error {
	events := number("BENCH_EVENTS", eventsWaiting)
	if err := b.waiting(ctx, "webhook", events); err != nil {
		return err
	}
	program, err := hostprocess.Build(ctx, b.dir)
	if err != nil {
		return err
	}
	for _, connections := range []int{16, 64} {
		per := events / connections
		var server []float64 // CPU milliseconds of Postgres for each transaction of sameRows.
		bare := func(ctx context.Context, script string) (float64, error) {
			return b.copied(ctx, "webhook", func(name string) (float64, error) {
				counted := time.Now().Add(warming * time.Second)
				used := watchCPU(counted, counted.Add(time.Duration(b.seconds)*time.Second), b.server.pid())
				rate, err := b.pgbenchAs(ctx, name, strings.ReplaceAll(script, ":per", strconv.Itoa(per)), connections)
				if script == sameRows {
					server = append(server, 1000*(<-used)[0]/(rate*float64(b.seconds)))
				}
				return rate, err
			})
		}
		var two float64
		var seen []delivered
		err := b.race(ctx, fmt.Sprintf("webhook, %d connections", connections), []contender{
			{"pgbench, the same rows: ledger, payment, booking, history",
				func(ctx context.Context) (float64, error) { return bare(ctx, sameRows) }},
			{"pgbench, two rows: ledger, booking", func(ctx context.Context) (rate float64, err error) {
				two, err = bare(ctx, twoRows)
				return two, err
			}},
			{"the host, HTTP, and TCP to Postgres", func(ctx context.Context) (float64, error) {
				return b.copied(ctx, "webhook", func(name string) (float64, error) {
					d, err := b.deliver(ctx, program, name, connections, per)
					d.toTwo = d.rate / two
					seen = append(seen, d)
					return d.rate, err
				})
			}},
		})
		if err != nil {
			return err
		}
		of := func(f func(delivered) float64) float64 {
			var values []float64
			for _, d := range seen {
				values = append(values, f(d))
			}
			return median(values)
		}
		fmt.Printf("the host at %d connections: %.2f of two rows; "+
			"p50 %.1f ms, p99 %.1f ms; memory %.0f MB, peak %.0f MB\n\n",
			connections,
			of(func(d delivered) float64 { return d.toTwo }), of(func(d delivered) float64 { return d.p50 }),
			of(func(d delivered) float64 { return d.p99 }),
			of(func(d delivered) float64 { return d.memory }), of(func(d delivered) float64 { return d.peak }))
		fmt.Printf("CPU for each event: the host %.3f ms, Postgres %.3f ms; Postgres for pgbench %.3f ms\n\n",
			of(func(d delivered) float64 { return d.host }), of(func(d delivered) float64 { return d.postgres }),
			median(server))
	}
	return nil
}

// delivered is the result of the host; toTwo is the ratio to the statement of two rows,
// host and postgres are CPU milliseconds for each event.
type delivered struct {
	rate, toTwo, p50, p99, memory, peak, host, postgres float64
}

// deliver starts the host and sends events over so many connections. The first seconds do
// not count, as for pgbench.
func (b *bench) deliver(ctx context.Context, program, database string, connections, per int) (d delivered, err error) {
	h, err := b.startHost(ctx, program, b.server.url(database, false), "STRIPE_WEBHOOK_SECRET="+hookSecret)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, h.Stop()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	counted := time.Now().Add(warming * time.Second)
	end := counted.Add(time.Duration(b.seconds) * time.Second)
	used := watchCPU(counted, end, h.PID(), b.server.pid())
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	for connection := range connections {
		wg.Go(func() {
			mine, err := deliverTo(ctx, h.Address, connection*per, per, counted, end)
			if err != nil {
				cancel(err)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return d, err
	}
	slices.Sort(took)
	if len(took) == 0 {
		return d, errors.New("no answer in time")
	}
	ms := func(share float64) float64 {
		return float64(took[int(share*float64(len(took)-1))].Microseconds()) / 1000
	}
	d = delivered{rate: float64(len(took)) / float64(b.seconds), p50: ms(0.5), p99: ms(0.99)}
	d.memory, d.peak = h.Memory()
	cpu := <-used
	d.host, d.postgres = 1000*cpu[0]/float64(len(took)), 1000*cpu[1]/float64(len(took))
	return d, nil
}

// deliverTo sends events one after the other, and returns the latency of those answered
// between counted and end.
func deliverTo(ctx context.Context, address string, first, per int, counted, end time.Time) ([]time.Duration, error) {
	c, err := dial(address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	var took []time.Duration
	for n := range per {
		body := bytes.ReplaceAll(eventTemplate, []byte("000000000000"), fmt.Appendf(nil, "%012d", first+n+1))
		began := time.Now()
		status, answer, err := c.post("/webhook", string(body),
			"Stripe-Signature: "+stripetest.Sign(body, hookSecret, began))
		if err == nil && (status != http.StatusOK || !strings.Contains(answer, `"processed"`)) {
			err = fmt.Errorf("status %d: %.200s", status, answer)
		}
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if now.After(counted) && !now.After(end) {
			took = append(took, now.Sub(began))
		}
		if now.After(end) || ctx.Err() != nil {
			return took, nil
		}
	}
	return nil, errors.New("too few bookings: increase BENCH_EVENTS")
}
