package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/booking-platform/booking-platform/internal/pg"
)

// Querier is what [Check] and [Status] read through: *sql.DB, *sql.Tx, *sql.Conn and
// sqlx's types satisfy it.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ErrPending is returned by [Check] when the database lacks something this code needs.
// The remedy is [Up], or `host migrate up`.
var ErrPending = errors.New("schema is older than this program needs")

const versionsSQL = `SELECT set_name, version FROM booking_platform.schema_versions`

// Without this constraint nothing keeps a slot from being sold twice; it is lost, for
// one, when the extension btree_gist is dropped with CASCADE, and no version number would
// tell.
const constraintSQL = `
SELECT conname FROM pg_catalog.pg_constraint
WHERE conrelid = to_regclass('booking_platform.bookings') AND conname = 'bookings_no_overlap' AND contype = 'x' AND convalidated`

// Check returns nil when the schema is at least the one this code needs, and the
// constraint that forbids overselling is there. A newer schema is fine, so that a
// rolled-back binary and a rolling deployment stay ready. Otherwise the error wraps
// [ErrPending], or is the database's. It writes nothing, needs no goose, and takes one
// round trip, two with the set Booking.
//
// Where no set was ever applied, the statement that finds out fails: a transaction that q
// may be cannot be used after that.
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

// Status lists the files of the sets and whether each is in the database. It writes
// nothing and takes one round trip. What [Check] says of a transaction holds here too.
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

// applied reads the version of each set; a database without our table has none.
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
