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

// openStorage opens the database, whether or not the rest of the configuration is valid. An
// embedded server that a running host has started is used. It waits for a database that
// does not answer; wait 0 is one attempt.
func (c *cli) openStorage(ctx context.Context, wait time.Duration) (*storage, error) {
	cfg, err := config.LoadStorage(c.environ)
	if err != nil {
		return nil, err
	}
	s, err := openStorage(ctx, cfg, wait, c.logger())
	if held := (*embedded.HeldError)(nil); errors.As(err, &held) {
		return openRunning(ctx, cfg, wait, c.logger())
	}
	return s, err
}

// withStorage calls do with a database whose schema has the sets.
func (c *cli) withStorage(ctx context.Context, sets migrations.Set, do func(*storage) error) (err error) {
	s, err := c.openStorage(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := migrations.Check(ctx, s.db, sets); err != nil {
		if errors.Is(err, migrations.ErrPending) {
			err = fmt.Errorf("%w: host migrate up", err)
		}
		return err
	}
	return do(s)
}

// withServices calls do with the services that serve would use.
func (c *cli) withServices(ctx context.Context, do func(*services) error) error {
	cfg, err := config.Load(c.environ)
	if err != nil {
		return err
	}
	return c.withStorage(ctx, migrations.All, func(s *storage) error {
		r, err := newServices(cfg, s.db, "http://127.0.0.1:"+strconv.Itoa(cfg.Port), c.logger())
		if err != nil {
			return err
		}
		return do(r)
	})
}
