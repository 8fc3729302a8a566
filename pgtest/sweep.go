package pgtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// sweep drops the databases of killed test binaries from a server that others use too.
// Each test binary holds an advisory lock on its run while it is connected, so a run
// whose lock is free has ended. Advisory locks belong to one database, the one that
// TEST_DATABASE_URL names, so its OID is part of the names.
func (s *session) sweep(ctx context.Context) error {
	// The lock lasts as long as this connection, which is never given back.
	conn, err := s.admin.Conn(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(hashtextextended($1::text, 0))`, s.run); err != nil {
		return fmt.Errorf("lock this run: %w", err)
	}
	names, err := s.databases(ctx, s.place)
	if err != nil {
		return err
	}
	for _, name := range names {
		run := name[:strings.LastIndex(name, "_")+1]
		var over bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1::text, 0))`,
			run).Scan(&over); err != nil {
			return fmt.Errorf("look whether the run of %s is over: %w", name, err)
		}
		if !over {
			continue
		}
		if err := s.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// dropAll drops the template, and the databases of tests that ended in a panic.
func (s *session) dropAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	names, err := s.databases(ctx, s.run)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) databases(ctx context.Context, begin string) ([]string, error) {
	rows, err := s.admin.QueryContext(ctx,
		`SELECT datname::text FROM pg_catalog.pg_database WHERE starts_with(datname::text, $1::text)`, begin)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// drop ends the connections to a database and drops it. It repeats on 55006: on a busy
// machine a session may take longer to end than Postgres waits.
func (s *session) drop(ctx context.Context, name string) error {
	for {
		err := s.dropOnce(ctx, name)
		if sqlState(err) == "55006" && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
		return nil
	}
}

func (s *session) dropOnce(ctx context.Context, name string) error {
	_, err := s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS "`+name+`" WITH (FORCE)`)
	if sqlState(err) == "42501" {
		// Only a superuser may end an autovacuum worker with FORCE. Without FORCE
		// Postgres ends it.
		_, err = s.admin.ExecContext(ctx, `DROP DATABASE IF EXISTS "`+name+`"`)
	}
	return err
}

func sqlState(err error) string {
	var refused interface{ SQLState() string }
	if errors.As(err, &refused) {
		return refused.SQLState()
	}
	return ""
}
