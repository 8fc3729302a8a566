package testdb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// patience bounds everything that is asked of a server, on a machine that runs other tests too.
const patience = 60 * time.Second

// prefix begins the name of every database that is made here, and nothing else's.
const prefix = "booking_test_"

// session is the use of a server by this test binary.
type session struct {
	*server
	// run tells the databases of this test binary from those of others on the same server.
	run   string
	admin *sql.DB
	// template makes the template when the first test wants a clone of it.
	template func() (string, error)
}

var (
	mu      sync.Mutex
	asked   bool
	current *session
	failure error
)

// shared starts the server when the first test asks, and gives every test the same answer.
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
	server, err := begin(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{server: server, run: rand.Text()[:12]}
	s.template = sync.OnceValues(s.makeTemplate)
	if err := s.connect(ctx); err != nil {
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
	var version string
	if err := s.admin.QueryRowContext(ctx, `SELECT current_setting('server_version')`).Scan(&version); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "testdb: Postgres %s by %s\n", version, s.by)
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
	if current.lasting {
		err = current.dropAll()
	}
	return errors.Join(err, current.admin.Close(), current.end())
}
