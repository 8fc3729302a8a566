package main

import (
	"bytes"
	"context"
	"os"

	"github.com/booking-platform/booking-platform/internal/hostprocess"
)

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
