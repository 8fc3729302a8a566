package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/migrations"
)

// withDatabase calls do with the database, whether or not the rest of the configuration
// is valid. An embedded server that a running host has started is used. It waits for a
// database that does not answer; wait 0 is one attempt.
func (c *cli) withDatabase(ctx context.Context, wait time.Duration, do func(*storage) error) (err error) {
	cfg, err := config.LoadStorage(c.environ)
	if err != nil {
		return err
	}
	s, err := openStorage(ctx, cfg, wait, c.logger())
	if held := (*embedded.HeldError)(nil); errors.As(err, &held) {
		s, err = openRunning(ctx, cfg, wait, c.logger())
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	return do(s)
}

// withStorage calls do with a database whose schema has the sets.
func (c *cli) withStorage(ctx context.Context, sets migrations.Set, do func(*storage) error) error {
	return c.withDatabase(ctx, 0, func(s *storage) error {
		err := migrations.Check(ctx, s.db, sets)
		if errors.Is(err, migrations.ErrPending) {
			return fmt.Errorf("%w: host migrate up", err)
		}
		if err != nil {
			return err
		}
		return do(s)
	})
}

// withServices calls do with the services that serve would use.
func (c *cli) withServices(ctx context.Context, do func(*services) error) error {
	cfg, err := config.Load(c.environ)
	if err != nil {
		return err
	}
	return c.withStorage(ctx, migrations.All, func(s *storage) error {
		r, err := newServices(cfg, s.db, nil, "http://127.0.0.1:"+strconv.Itoa(cfg.Port), c.logger())
		if err != nil {
			return err
		}
		return do(r)
	})
}
