package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Blocker is a session that others wait for.
type Blocker struct {
	PID int
	// Application is its application_name, and State that of pg_stat_activity.
	Application, State string
	// For is the age of its transaction or, without one, of its statement.
	For time.Duration
	// Query is the start of its last statement, "" if the role may not see it.
	Query string
	// Waiting is the number of sessions that wait for it.
	Waiting int
	// Longest is how long the first of them has waited, at most.
	Longest time.Duration
}

// String names the session and how to end it.
func (b Blocker) String() string {
	text := fmt.Sprintf("the session with pid %d (%s, %s for %s)", b.PID, orUnnamed(b.Application), b.State,
		b.For.Round(time.Second))
	if b.Query != "" {
		text += ": " + b.Query
	}
	return text
}

func orUnnamed(name string) string {
	if name == "" {
		return "unnamed"
	}
	return name
}

const blockerColumns = `b.pid, COALESCE(b.application_name, ''), COALESCE(b.state, ''),
	COALESCE(extract(epoch FROM pg_catalog.clock_timestamp() - COALESCE(b.xact_start, b.query_start))::float8, 0),
	CASE WHEN b.query LIKE '<insufficient privilege>%' THEN '' ELSE left(regexp_replace(b.query, '\s+', ' ', 'g'), 80) END`

// migrationLock is the advisory lock of package migrations, as pg_locks has it.
const migrationLock = `classid = 348637356 AND objid = 900286787`

const blockersOfSQL = `
SELECT ` + blockerColumns + `, 1, 0::float8
FROM pg_catalog.pg_stat_activity m
CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(m.pid)) AS x (pid)
JOIN pg_catalog.pg_stat_activity b ON b.pid = x.pid
WHERE m.datname = current_database() AND m.application_name = $1::text AND b.application_name <> $1::text
UNION ALL
SELECT ` + blockerColumns + `, 1, 0::float8
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity b ON b.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND b.datname = current_database() AND b.application_name <> $1::text
	AND ` + migrationLock

// BlockersOf returns the sessions that sessions with this application_name wait for, and
// another process that migrates.
func BlockersOf(ctx context.Context, db *sql.DB, application string) ([]Blocker, error) {
	return blockers(ctx, db, blockersOfSQL, application)
}

// A session that waits itself is not named: the one that it waits for is.
const blockersSQL = `
SELECT ` + blockerColumns + `, count(*)::integer,
	max(extract(epoch FROM pg_catalog.clock_timestamp() - m.query_start))::float8
FROM pg_catalog.pg_stat_activity m
CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(m.pid)) AS x (pid)
JOIN pg_catalog.pg_stat_activity b ON b.pid = x.pid
WHERE m.datname = current_database() AND m.query_start < pg_catalog.clock_timestamp() - make_interval(secs => $1::float8)
	AND cardinality(pg_catalog.pg_blocking_pids(b.pid)) = 0
GROUP BY b.pid, b.application_name, b.state, b.xact_start, b.query_start, b.query`

// Blockers returns the sessions of this database that others have waited for longer than
// this.
func Blockers(ctx context.Context, db *sql.DB, longer time.Duration) ([]Blocker, error) {
	return blockers(ctx, db, blockersSQL, longer.Seconds())
}

func blockers(ctx context.Context, db *sql.DB, query string, arg any) ([]Blocker, error) {
	rows, err := db.QueryContext(ctx, query, arg)
	if err != nil {
		return nil, fmt.Errorf("find blocking sessions: %w", err)
	}
	defer rows.Close()
	var found []Blocker
	for rows.Next() {
		var b Blocker
		var age, longest float64
		if err := rows.Scan(&b.PID, &b.Application, &b.State, &age, &b.Query, &b.Waiting, &longest); err != nil {
			return nil, fmt.Errorf("find blocking sessions: %w", err)
		}
		b.For, b.Longest = time.Duration(age*float64(time.Second)), time.Duration(longest*float64(time.Second))
		found = append(found, b)
	}
	return found, rows.Err()
}
