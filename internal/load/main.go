// Command load measures genuine webhook deliveries while hostile clients hold 2,000 slow
// connections (headers, bodies, unread answers) and send 1,000 forged deliveries a
// second. It prints latencies and the host's memory. Environment variables:
//
//	LOAD_SECONDS   duration of each part (default 20)
//	LOAD_SLOW      slow connections (default 2000)
//	LOAD_FORGED    forged deliveries a second (default 1000)
//	LOAD_GENUINE   genuine events a second (default 20)
package main

import (
	"bytes"
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

	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/internal/hostprocess"
	_ "github.com/lib/pq" // The driver "postgres".
)

func main() {
	// Embedded Postgres starts this program again as its guard.
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
	// Postgres's account needs to enter the folder.
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
		{"slow connections from one address, forged deliveries from another", one},
		{"slow connections from 500 addresses, forged deliveries from one", many},
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

const hookSecret = "whsec_load_0123456789abcdef"

func startHost(ctx context.Context, dir, databaseURL string) (*hostprocess.Process, error) {
	program, err := hostprocess.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	return hostprocess.Start(ctx, program, dir, "PATH="+os.Getenv("PATH"), "HOME="+dir, "DATABASE_URL="+databaseURL,
		"STRIPE_WEBHOOK_SECRET="+hookSecret, "HOLDS_PER_EMAIL=0", "HOLDS_PER_ADDRESS=0")
}

func lines(log, text string) int {
	all, _ := os.ReadFile(log)
	n := 0
	for line := range bytes.Lines(all) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}
