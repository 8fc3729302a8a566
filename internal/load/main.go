// Command load shows what slow clients and forgers cost those who are genuine: 2,000 slow
// connections (heads dribbled, bodies dribbled, answers not read) and 1,000 forged
// deliveries a second from one address, and beside them genuine events at an even pace,
// each over a connection of its own. It prints how long those took, and the memory of the
// host.
//
// It runs a Postgres of its own, and the host and the attackers as processes of their
// own, both in a folder that it removes. It is told by the environment:
//
//	LOAD_SECONDS   how long each part runs (default 20)
//	LOAD_SLOW      how many slow connections there are (default 2000)
//	LOAD_FORGED    how many forged deliveries a second (default 1000)
//	LOAD_GENUINE   how many genuine events a second (default 20)
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	_ "github.com/lib/pq" // The driver "postgres".

	"github.com/booking-platform/booking-platform/internal/embedded"
)

func main() {
	// The server's guard is this program too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	do := measure
	if what := os.Getenv(attackEnv); what != "" {
		do = func(ctx context.Context) error {
			var a attack
			if err := json.Unmarshal([]byte(what), &a); err != nil {
				return err
			}
			return a.run(ctx)
		}
	}
	err := do(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "booking-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// Whoever Postgres runs as passes through.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	server, err := embedded.Start(ctx, filepath.Join(dir, "cluster"), embedded.Options{})
	if err != nil {
		return err
	}
	defer func() { _ = server.Stop() }()
	fmt.Printf("%s %s/%s, %d processors, Postgres %s; host, database and all clients on this machine\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), server.Version())
	s := settings{
		slow: number("LOAD_SLOW", 2000), forged: number("LOAD_FORGED", 1000), genuine: number("LOAD_GENUINE", 20),
		length: time.Duration(number("LOAD_SECONDS", 20)) * time.Second,
	}
	quiet := s
	quiet.slow, quiet.forged = 0, 0
	one := s
	one.addresses = 1
	many := s
	many.addresses = 500
	for _, part := range []struct {
		title string
		settings
	}{
		{"genuine events alone", quiet},
		{"slow connections from one address, forgers from another", one},
		{"slow connections from 500 addresses, forgers from one", many},
	} {
		h, err := startHost(ctx, dir, server.URL())
		if err != nil {
			return err
		}
		seen, err := run(ctx, h, server.URL(), part.settings)
		if stopErr := h.Stop(); err == nil {
			err = stopErr
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part.title, err)
		}
		fmt.Printf("%s\n%s\n", part.title, seen)
	}
	return nil
}

func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return otherwise
}
