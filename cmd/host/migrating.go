package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/migrations"
)

// progress is told what happens while migrations run. Both functions may be nil.
type progress struct {
	applied func(migrations.Migration)
	// blocked is called when another session is in the way, once per session.
	blocked func(postgres.Blocker)
}

// progressEvery is the pause between two looks at running migrations.
const progressEvery = 500 * time.Millisecond

// migrate applies the missing migrations, on connections without time limits, and then
// checks what readiness checks.
func (s *storage) migrate(ctx context.Context, p progress) ([]migrations.Migration, error) {
	// The name tells these sessions from those of other processes that migrate.
	name := "host migrate " + rand.Text()[:8]
	db, err := postgres.Open(named(s.url, name), postgres.Migrating(), 0)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	watching, stop := context.WithCancel(ctx)
	told := map[string]bool{}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch(watching, name, told, p)
	}()
	// On the same connections: it can wait for a session, too.
	var applied []migrations.Migration
	if err = checkFloor(ctx, db); err == nil {
		applied, err = migrations.Up(ctx, db, migrations.All)
	}
	stop()
	<-watched
	for _, m := range applied {
		if !told[m.File] && p.applied != nil {
			p.applied(m)
		}
	}
	if err != nil {
		return applied, err
	}
	// Files can be recorded as applied without their tables, as after a partial restore.
	if err := migrations.Check(ctx, s.db, migrations.All); errors.Is(err, migrations.ErrPending) {
		return applied, fmt.Errorf("every migration is recorded as applied, but the schema is not complete: %w; "+
			"see RUNBOOK.md, \"Migration fails\"", err)
	} else if err != nil {
		return applied, err
	}
	return applied, raiseFloor(ctx, s.db)
}

// watch tells about sessions in the way and applied files until ctx ends. Its own errors
// do not matter: a session in the way may be in its way, too.
func (s *storage) watch(ctx context.Context, name string, told map[string]bool, p progress) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var before map[string]bool // nil until it is known.
	blockers := map[int]bool{}
	for {
		if all, err := s.status(ctx); err == nil {
			known := before != nil
			if !known {
				before = map[string]bool{}
			}
			for _, m := range all {
				if !known {
					before[m.File] = m.Applied
				} else if m.Applied && !before[m.File] && !told[m.File] && p.applied != nil {
					told[m.File] = true
					p.applied(m)
				}
			}
		}
		found, err := postgres.BlockersOf(ctx, s.db, name)
		for _, b := range found {
			if err == nil && !blockers[b.PID] && p.blocked != nil {
				blockers[b.PID] = true
				p.blocked(b)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *storage) status(ctx context.Context) ([]migrations.Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, progressEvery)
	defer cancel()
	return migrations.Status(ctx, s.db, migrations.All)
}

// named sets application_name, unless the URL cannot be read.
func named(databaseURL, name string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return databaseURL
	}
	query := u.Query()
	query.Set("application_name", name)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	return u.String()
}
