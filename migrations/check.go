package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Querier runs the statements of [Check] and [Status], as *sql.DB, *sql.Tx, *sql.Conn and
// sqlx's types do:
//
//	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
//	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
//	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
type Querier = pg.Querier

// ErrPending means that the schema lacks something. Run [Up], or `host migrate up`.
var ErrPending = errors.New("schema is older than this program needs")

const versionsSQL = `SELECT set_name, version FROM booking_platform.schema_versions`

// Without this constraint slots can be sold twice. DROP EXTENSION btree_gist CASCADE
// drops it, and changes no version.
const constraintSQL = `
SELECT conname FROM pg_catalog.pg_constraint
WHERE conrelid = to_regclass('booking_platform.bookings') AND conname = 'bookings_no_overlap' AND contype = 'x'
    AND convalidated`

// Check returns nil if the schema has at least the versions that this code needs and the
// constraint against overselling. A newer schema is fine: a rolled-back binary and a
// rolling deployment stay ready. The error wraps [ErrPending] or is the database's. Check
// writes nothing. One round trip, two with the set Booking.
//
// If no set was ever applied, its statement fails, and a transaction in q cannot be used
// afterwards.
func Check(ctx context.Context, q Querier, sets Set) error {
	states, err := Status(ctx, q, sets)
	if err != nil {
		return err
	}
	for _, m := range states {
		if !m.Applied {
			return fmt.Errorf("migrations: %s is not applied: %w", m.File, ErrPending)
		}
	}
	if names, _ := sets.names(); len(names) == 0 || names[0] != "booking" {
		return nil
	}
	rows, err := q.QueryContext(ctx, constraintSQL)
	if err != nil {
		return fmt.Errorf("migrations: look for the constraint: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		return rows.Close()
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("migrations: look for the constraint: %w", err)
	}
	return fmt.Errorf("migrations: constraint bookings_no_overlap is missing, a slot could be sold twice: %w",
		ErrPending)
}

// Status lists the files of the sets and whether each was applied. It writes nothing. One
// round trip. For a transaction in q see [Check].
func Status(ctx context.Context, q Querier, sets Set) ([]Migration, error) {
	names, err := sets.names()
	if err != nil {
		return nil, err
	}
	versions, err := applied(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []Migration
	for _, name := range names {
		ms, err := list(files, name)
		if err != nil {
			return nil, err
		}
		for i := range ms {
			ms[i].Applied = ms[i].Version <= versions[name]
		}
		out = append(out, ms...)
	}
	return out, nil
}

// applied is empty if the table does not exist.
func applied(ctx context.Context, q Querier) (map[string]int, error) {
	versions := map[string]int{}
	rows, err := q.QueryContext(ctx, versionsSQL)
	if state := pg.SQLState(err); state == "42P01" || state == "3F000" {
		return versions, nil
	}
	if err != nil {
		return nil, fmt.Errorf("migrations: read versions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var version int
		if err := rows.Scan(&name, &version); err != nil {
			return nil, fmt.Errorf("migrations: read versions: %w", err)
		}
		versions[name] = version
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("migrations: read versions: %w", err)
	}
	return versions, nil
}
