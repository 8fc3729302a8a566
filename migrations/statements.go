package migrations

import (
	"context"
	"log/slog"
	"sync"
)

// statements is a log handler that remembers the last statement goose ran, which goose
// reports only in its verbose log.
type statements struct {
	mu      sync.Mutex
	current string
}

func (s *statements) logger() *slog.Logger { return slog.New(s) }

func (s *statements) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Enabled accepts every level.
func (s *statements) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps the statement; any other line means that it succeeded.
func (s *statements) Handle(_ context.Context, r slog.Record) error {
	statement := ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "statement" {
			statement = a.Value.String()
		}
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = statement
	return nil
}

// WithAttrs returns the same handler.
func (s *statements) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup returns the same handler.
func (s *statements) WithGroup(string) slog.Handler { return s }
