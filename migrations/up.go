package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Up applies what is missing of the sets and returns what it applied, in order; nothing
// to do is no error. A file that fails makes the error a [*Error]; those before it stay,
// and Up can simply be called again.
//
// A file runs in one transaction of its own, leaves nothing of itself when it fails, and
// gives up on a lock after five seconds rather than queue a running service's traffic
// behind it. Files that build indexes of large tables are the exception: they build them
// concurrently, beside the traffic, which no transaction can do. Such a file commits
// statement by statement, so one that fails may leave some of its work, which a repeat
// takes up or replaces; and it waits for the transactions that were open before it, two
// minutes for each of its locks, while nobody waits for it. A dump of the database that
// runs meanwhile is such a transaction, and so is one that the caller itself left open.
//
// It is safe on any number of replicas at once: they take turns under an advisory lock,
// waiting up to five minutes, and each file is applied once. Where an index takes longer
// to build, those that waited return an error and find it built when they are started
// again. The lock belongs to a transaction that is held open on a second connection
// meanwhile, so db may go through a pooler in transaction mode, and needs two free
// connections. A pool that is limited to one connection takes the lock for the session of
// that connection, and must lead to Postgres itself. db is not closed.
//
// Behind such a pooler the limits on time that a file sets for its session may reach
// another session; what the role has then holds: see docs/database.md.
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

// upSet makes a Provider for each call: one whose first Up failed stays broken. The
// Provider is not closed, because closing it closes the caller's database.
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
		// goose could not make or read the set's table of versions: the schema is there,
		// made by another role.
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

// transactional tells whether a file runs in one transaction, as all do that do not say
// otherwise.
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

// ensureSchema makes the schema that goose's version tables go to. Two replicas that both
// run CREATE SCHEMA IF NOT EXISTS at once can still collide on the catalogue, so they
// take turns.
func ensureSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	if err := db.QueryRowContext(ctx, schemaExistsSQL).Scan(&exists); err != nil {
		return fmt.Errorf("migrations: look for the schema: %w", err)
	}
	if exists {
		return nil
	}
	// The end of ctx must not cancel the COMMIT: a cancelled COMMIT that waits for a
	// standby reports success.
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

// Error is a migration that failed. Unless Partial, it was rolled back.
type Error struct {
	// File is the path within [FS]; "(schema)" for the schema itself; the set's folder
	// alone where the role may not make or read the set's table of versions.
	File string
	// Statement is the one that failed; empty when it was the commit or goose's own
	// bookkeeping.
	Statement string
	// SQLState is Postgres's code, such as 42501; empty when the failure was not
	// Postgres's.
	SQLState string
	// Partial tells that the file runs outside a transaction: statements before the one
	// that failed stand, and a repeat of [Up] begins with the first again.
	Partial bool
	// Err is the driver's error.
	Err error
}

const missingRight = "42501" // insufficient_privilege

// Error names file, SQLSTATE, the cause, the statement's beginning, and for a missing
// right the lines a superuser has to run.
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

// Unwrap gives the driver's error to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// summary folds a statement into one line short enough for a log.
func summary(statement string) string {
	line := strings.Join(strings.Fields(statement), " ")
	if r := []rune(line); len(r) > 300 {
		return string(r[:300]) + " …"
	}
	return line
}
