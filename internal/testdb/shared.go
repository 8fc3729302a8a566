package testdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/pgenv"
)

// patience bounds everything that is asked of a server, on a machine that runs other
// tests too.
const patience = 60 * time.Second

// session is the use of a server by this test binary.
type session struct {
	*server
	// place begins the names of the databases of every test binary that was given this
	// server in the same way, run those of this one.
	place, run string
	admin      *sql.DB
	// pooler stands in front of what the tests get, where one is asked for; admin goes by
	// no pooler.
	pooler *pooler
	// strategy is a clause of CREATE DATABASE.
	strategy string
	// settings are defaults of each database that is made.
	settings [][2]string
	// template makes the template when the first test wants a clone of it.
	template func() (string, error)
}

var (
	mu      sync.Mutex
	asked   bool
	current *session
	failure error
)

// shared starts the server when the first test asks, and gives every test the same
// answer.
func shared() (*session, error) {
	mu.Lock()
	defer mu.Unlock()
	if !asked {
		asked = true
		current, failure = open(context.Background())
	}
	return current, failure
}

func open(ctx context.Context) (*session, error) {
	pgenv.Clear()
	candidates, err := candidates(os.Getenv("TEST_DATABASE_WAY"), os.Getenv("TEST_DATABASE_URL") != "")
	if err != nil {
		return nil, err
	}
	settings, err := defaultSettings()
	if err != nil {
		return nil, err
	}
	server, err := begin(ctx, candidates)
	if err != nil {
		return nil, err
	}
	s := &session{server: server, settings: settings}
	s.template = sync.OnceValues(s.makeTemplate)
	err = s.connect(ctx)
	if err == nil && pooled() {
		s.pooler, err = startPooler(ctx, s.url)
	}
	if err != nil {
		err = fmt.Errorf("by %s: %w", server.by, err)
		if s.admin != nil {
			err = errors.Join(err, s.admin.Close())
		}
		return nil, errors.Join(err, server.end())
	}
	return s, nil
}

func (s *session) connect(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if s.admin, err = sql.Open("postgres", s.url); err != nil {
		return err
	}
	var version, database string
	var number int
	if err := s.admin.QueryRowContext(ctx,
		`SELECT current_setting('server_version'), current_setting('server_version_num')::integer, oid::text
		FROM pg_catalog.pg_database WHERE datname = current_database()`).
		Scan(&version, &number, &database); err != nil {
		return err
	}
	if number >= 150000 && !s.lasting {
		// Postgres 15 copies block by block through WAL by default, so that no checkpoint
		// is needed, which costs twice as much where nothing is synced.
		s.strategy = " STRATEGY file_copy"
	}
	s.place = "booking_test_" + database + "_"
	s.run = s.place + strings.ToLower(rand.Text()[:12]) + "_"
	fmt.Fprintf(os.Stderr, "testdb: Postgres %s by %s\n", version, s.by)
	if len(s.settings) > 0 {
		fmt.Fprintf(os.Stderr, "testdb: %s: %v\n", settingsVariable, s.settings)
	}
	if s.lasting {
		return s.sweep(ctx)
	}
	return nil
}

// stop leaves the server as it was found, or ends it when it is ours.
func stop() error {
	mu.Lock()
	defer mu.Unlock()
	if current == nil {
		return nil
	}
	var err error
	if current.pooler != nil {
		err = errors.Join(current.pooler.console.Close(), current.pooler.end())
	}
	if current.lasting {
		err = errors.Join(err, current.dropAll())
	}
	return errors.Join(err, current.admin.Close(), current.end())
}
