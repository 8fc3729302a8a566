// Command bench measures the booking engine relative to pgbench, which sends the same
// prepared statements from as many clients to the same server. Only ratios within one run
// are meaningful. `make bench` runs it; docs/BENCHMARKS.md has results.
//
// Environment variables:
//
//	BENCH_SECONDS   duration of a contender in each round (default 4)
//	BENCH_ROUNDS    rounds; ratios are medians (default 3)
//	BENCH_ONLY      comma-separated: holds, refusals, httpholds, httprefusals, webhook,
//	                moves, size, routes (default all)
//	BENCH_EVENTS    unpaid bookings in each run of webhook (default 120000)
//	BENCH_ROWS      bookings in the larger database of size (default 10000000), and in that
//	                of routes (default 1000000)
//	BENCH_LEDGER    events in the database of routes (default 3000000)
//	BENCH_PROFILE   folder for CPU profiles of the Go contenders (default none)
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/booking-platform/booking-platform/internal/embedded"
)

const clients = 32

type bench struct {
	server   *server
	dir      string
	seconds  int
	rounds   int
	profiles string
}

func main() {
	// Embedded Postgres starts this program again as its guard.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	b := &bench{
		seconds: number("BENCH_SECONDS", 4), rounds: number("BENCH_ROUNDS", 3),
		profiles: os.Getenv("BENCH_PROFILE"),
	}
	dir, err := os.MkdirTemp("", "booking-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b.dir = dir
	if b.server, err = startServer(ctx, dir); err != nil {
		return err
	}
	defer func() { _ = b.server.Stop() }()
	fmt.Printf("%s %s/%s, %d processors, Postgres %s, fsync on\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), b.server.Version())
	parts := []struct {
		name    string
		run     func(context.Context) error
		pgbench bool
	}{
		{"holds", b.holds, true}, {"refusals", b.refusals, true}, {"httpholds", b.httpHolds, true},
		{"httprefusals", b.httpRefusals, true},
		{"webhook", b.webhook, true}, {"moves", b.moves, false}, {"size", b.size, false},
		{"routes", b.routes, false},
	}
	for _, part := range parts {
		if only := os.Getenv("BENCH_ONLY"); only != "" && !slices.Contains(strings.Split(only, ","), part.name) {
			continue
		}
		if part.pgbench && findPgbench(b.server.Programs()) == "" {
			fmt.Printf("%s skipped: pgbench not found (Debian: apt-get install postgresql)\n\n",
				part.name)
			continue
		}
		began := time.Now()
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("(%s took %s)\n\n", part.name, time.Since(began).Round(time.Second))
	}
	return nil
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// server is a Postgres with TCP and a Unix socket.
type server struct {
	*embedded.Server
	sockets string
	// data is the folder of the cluster.
	data string
}
