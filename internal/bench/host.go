package main

import (
	"context"
	"os"

	"github.com/booking-platform/booking-platform/internal/hostprocess"
)

func (b *bench) startHost(ctx context.Context, program, databaseURL string,
	environment ...string) (*hostprocess.Process, error) {
	all := append(os.Environ(),
		"APP_ENV=development", "PORT=0", "METRICS_ADDR=off", "BIND_ADDRESS=127.0.0.1", "APP_URL=",
		"DATABASE_URL="+databaseURL, "DATABASE_PREPARE=true", "STORAGE_DRIVER=db",
		"STRIPE_SECRET_KEY=", "HOLDS_PER_EMAIL=0", "HOLDS_PER_ADDRESS=0",
	)
	return hostprocess.Start(ctx, program, b.dir, append(all, environment...)...)
}
