package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/pressly/goose/v3"
)

// Up applies the missing files of the sets and returns them, in order. If one fails, the
// error is a [*Error], the files before it stay, and Up can be called again.
//
// A file runs in one transaction and waits at most five seconds for a lock, so that it
// does not queue a service's traffic. Files that build indexes of large tables do so
// concurrently, which no transaction can: they commit statement by statement, and the
// next run continues or replaces what a failed one left. They wait up to two minutes for
// each lock, without blocking others, for transactions open before them, such as a dump.
//
// Safe on any number of replicas: they wait for each other up to five minutes, under an
// advisory lock, and each file is applied once. If an index build takes longer, the
// others return an error, and find the index at the next start. A transaction on a second
// connection holds the lock, so db may go through a pooler in transaction mode, and needs
// two free connections. With a pool of one it is a session lock, which requires a direct
// connection.
//
// Behind such a pooler the time limits that a file sets for its session may affect
// another session; then only the role's limits apply, see docs/database.md.
func Up(ctx context.Context, db *sql.DB, sets Set) ([]Migration, error) {
	return up(ctx, db, files, sets)
}

func up(ctx context.Context, db *sql.DB, source fs.FS, sets Set) ([]Migration, error) {
	names, err := sets.names()
	if err != nil {
		return nil, err
	}
	if err := ensureSchema(ctx, db); err != nil {
		return nil, err
	}
	var done []Migration
	for _, name := range names {
		applied, err := upSet(ctx, db, source, name)
		done = append(done, applied...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// upSet makes a Provider per call: one whose first Up failed stays unusable, and closing
// it would close the caller's database.
func upSet(ctx context.Context, db *sql.DB, source fs.FS, name string) ([]Migration, error) {
	folder, err := fs.Sub(source, name)
	if err != nil {
		return nil, fmt.Errorf("migrations: open set %s: %w", name, err)
	}
	locker, err := lockerOf(db)
	if err != nil {
		return nil, fmt.Errorf("migrations: make the lock: %w", err)
	}
	seen := &statements{}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, folder,
		goose.WithTableName("booking_platform.goose_"+name),
		goose.WithSessionLocker(&session{SessionLocker: locker}),
		goose.WithDisableGlobalRegistry(true),
		goose.WithVerbose(true),
		goose.WithSlog(seen.logger()),
	)
	if err != nil {
		return nil, fmt.Errorf("migrations: read set %s: %w", name, err)
	}
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
		err = &Error{
			File:      path.Join(name, path.Base(partial.Failed.Source.Path)),
			Statement: seen.last(),
			SQLState:  pg.SQLState(partial.Err),
			Partial:   partial.Failed.Source != nil && !transactional(folder, partial.Failed.Source.Path),
			Err:       partial.Err,
		}
	} else if pg.SQLState(err) == missingRight {
		// The role may not create or read the set's version table: another role made the
		// schema.
		err = &Error{File: name, SQLState: missingRight, Err: err}
	} else if err != nil {
		err = fmt.Errorf("migrations: apply set %s: %w", name, err)
	}
	var applied []Migration
	for _, r := range results {
		applied = append(applied, Migration{
			Set: name, Version: int(r.Source.Version), File: path.Join(name, path.Base(r.Source.Path)), Applied: true,
		})
	}
	return applied, err
}

func transactional(folder fs.FS, file string) bool {
	content, err := fs.ReadFile(folder, path.Base(file))
	return err != nil || !strings.Contains(string(content), "-- +goose NO TRANSACTION")
}

const (
	schemaExistsSQL = `SELECT to_regnamespace('booking_platform') IS NOT NULL`
	schemaLockSQL   = `SELECT pg_advisory_xact_lock($1)`
	schemaCreateSQL = `CREATE SCHEMA IF NOT EXISTS booking_platform`
	schemaFile      = "(schema)"
)

// ensureSchema takes a lock: concurrent CREATE SCHEMA IF NOT EXISTS can still collide in
// the catalogue.
func ensureSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	if err := db.QueryRowContext(ctx, schemaExistsSQL).Scan(&exists); err != nil {
		return fmt.Errorf("migrations: look for the schema: %w", err)
	}
	if exists {
		return nil
	}
	// The end of ctx must not cancel COMMIT, which would then report success while it
	// waits for a standby.
	tx, err := db.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return fmt.Errorf("migrations: create the schema: %w", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, schemaLockSQL, schemaLockID); err != nil {
		return fmt.Errorf("migrations: create the schema: %w", err)
	}
	if _, err := tx.ExecContext(ctx, schemaCreateSQL); err != nil {
		return &Error{File: schemaFile, Statement: schemaCreateSQL, SQLState: pg.SQLState(err), Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("migrations: create the schema: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrations: create the schema: %w", err)
	}
	return nil
}

// Error is a failed migration. Unless Partial, it was rolled back.
type Error struct {
	// File is the path within [FS]; "(schema)" for the schema; the set's folder if the
	// role may not create or read its version table.
	File string
	// Statement failed; "" if it was the commit or goose's own.
	Statement string
	// SQLState is Postgres's code, such as 42501, or "".
	SQLState string
	// Partial: the file runs outside a transaction, so the statements before stay, and
	// the next [Up] begins with the first again.
	Partial bool
	Err     error
}

const missingRight = "42501" // insufficient_privilege

// Error has the file, the SQLSTATE, the cause, the statement's beginning, and for a
// missing right the statements for a superuser.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrations: %s failed ", e.File)
	if e.Partial {
		b.WriteString("and can be repeated")
	} else {
		b.WriteString("and was rolled back")
	}
	if e.SQLState != "" {
		fmt.Fprintf(&b, " (SQLSTATE %s)", e.SQLState)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.Statement != "" {
		fmt.Fprintf(&b, "; statement: %s", summary(e.Statement))
	}
	if e.SQLState == missingRight {
		schema := "ALTER SCHEMA booking_platform OWNER TO <role>"
		if e.File == schemaFile {
			schema = "CREATE SCHEMA booking_platform AUTHORIZATION <role>"
		}
		fmt.Fprintf(&b, "; a superuser has to run once: %s; CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;",
			schema)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

func summary(statement string) string {
	line := strings.Join(strings.Fields(statement), " ")
	if r := []rune(line); len(r) > 300 {
		return string(r[:300]) + " …"
	}
	return line
}

// statements is a log handler that keeps the statement goose runs, which goose reports
// only in its verbose log.
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

// Any other line means that the statement succeeded.
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
