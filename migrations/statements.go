package migrations

import (
	"context"
	"log/slog"
	"sync"
)

// statements is a log handler that remembers the statement goose last ran. goose's error
// names the file only, and its verbose log is the one place where it says which statement
// it is at.
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

// Enabled accepts every level: goose logs statements at one of its own choosing.
func (s *statements) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps the statement; any other line means that the statement before it
// succeeded.
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

// WithAttrs and WithGroup return the same handler: what goose adds is not looked at.
func (s *statements) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup is as WithAttrs.
func (s *statements) WithGroup(string) slog.Handler { return s }
