package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/booking-platform/booking-platform/migrations"
)

// migrateUp applies what the database lacks and says what it was.
func migrateUp(ctx context.Context, environ map[string]string, stdout, stderr io.Writer) (err error) {
	s, err := storageOf(ctx, environ, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	applied, err := s.migrate(ctx, newLogger(stderr))
	if err != nil {
		return err
	}
	for _, m := range applied {
		fmt.Fprintln(stdout, "applied", m.File)
	}
	if len(applied) == 0 {
		fmt.Fprintln(stdout, "nothing to apply")
	}
	return nil
}

// errPending gives `host migrate status` its exit status.
var errPending = errors.New("something is pending: host migrate up")

// migrateStatus prints a table of all migrations. It changes nothing.
func migrateStatus(ctx context.Context, environ map[string]string, stdout, stderr io.Writer) (err error) {
	s, err := storageOf(ctx, environ, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	all, err := migrations.Status(ctx, s.db, migrations.All)
	if err != nil {
		return err
	}
	pending := false
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SET\tVERSION\tSTATE\tFILE")
	for _, m := range all {
		state := "applied"
		if !m.Applied {
			state, pending = "pending", true
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", m.Set, m.Version, state, m.File)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if pending {
		return errPending
	}
	return nil
}

// storageOf opens what the environment says, whether or not the rest of it would let the
// host start. Where a host runs on the same data folder, its server is asked.
func storageOf(ctx context.Context, environ map[string]string, stderr io.Writer) (*storage, error) {
	cfg, err := config.LoadStorage(environ)
	if err != nil {
		return nil, err
	}
	logger := newLogger(stderr)
	s, err := openStorage(ctx, cfg, logger)
	if held := (*embedded.HeldError)(nil); errors.As(err, &held) {
		return openRunning(ctx, cfg, logger)
	}
	return s, err
}

// withStorage opens what the environment says, sees that its schema has what the sets
// need, and does something with it.
func withStorage(ctx context.Context, environ map[string]string, std streams, sets migrations.Set,
	do func(*storage) error) (err error) {
	s, err := storageOf(ctx, environ, std.err)
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

// withRooms is withStorage for a command that needs the whole configuration, not only the
// database: the rooms are those that serve would have.
func withRooms(ctx context.Context, environ map[string]string, std streams, do func(*rooms) error) error {
	cfg, err := config.Load(environ)
	if err != nil {
		return err
	}
	return withStorage(ctx, environ, std, migrations.All, func(s *storage) error {
		// Nothing is listened on, and handlers call no network, so the address is of no
		// use to anyone.
		r, err := wire(cfg, s.db, "http://127.0.0.1:"+strconv.Itoa(cfg.Port), newLogger(std.err))
		if err != nil {
			return err
		}
		return do(r)
	})
}
