package pg

import (
	"context"
	"database/sql"
	"strings"
	"sync"
)

// Statements keeps up to limit statements prepared, on each connection that runs them.
// Inside a transaction use Get or Note: preparing takes a connection, for which a
// transaction could wait for ever in a small pool.
type Statements struct {
	db    *sql.DB
	limit int

	mu    sync.Mutex
	made  map[string]*sql.Stmt // nil while it is being prepared, or if it cannot be
	noted []string
}

// NewStatements returns an empty set for db.
func NewStatements(db *sql.DB, limit int) *Statements {
	return &Statements{db: db, limit: limit, made: map[string]*sql.Stmt{}}
}

// Get returns a prepared statement, or nil.
func (s *Statements) Get(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[query]
}

// reserve also returns whether the caller has to prepare it.
func (s *Statements) reserve(query string) (*sql.Stmt, bool) {
	stmt, known := s.made[query]
	if known || len(s.made) >= s.limit {
		return stmt, false
	}
	s.made[query] = nil
	return nil, true
}

// Prepare returns nil while another caller prepares the statement.
func (s *Statements) Prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	s.mu.Lock()
	stmt, reserved := s.reserve(query)
	s.mu.Unlock()
	if !reserved {
		return stmt, nil
	}
	stmt, err := s.db.PrepareContext(ctx, query)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.made, query) // The next caller tries again.
		return nil, err
	}
	s.made[query] = stmt
	return stmt, nil
}

// Note is Get, and PrepareNoted then prepares a new statement.
func (s *Statements) Note(query string) *sql.Stmt {
	s.mu.Lock()
	defer s.mu.Unlock()
	stmt, reserved := s.reserve(query)
	if reserved {
		s.noted = append(s.noted, query)
	}
	return stmt
}

// PrepareNoted prepares what was noted. What Postgres cannot prepare, such as two
// statements in one text, stays unprepared; after another error the next call tries
// again.
func (s *Statements) PrepareNoted(ctx context.Context) {
	s.mu.Lock()
	noted := s.noted
	s.noted = nil
	s.mu.Unlock()
	for n, query := range noted {
		stmt, err := s.db.PrepareContext(ctx, query)
		s.mu.Lock()
		switch {
		case err == nil:
			s.made[query] = stmt
		case !strings.HasPrefix(SQLState(err), "42"):
			s.noted = append(s.noted, noted[n:]...)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}
