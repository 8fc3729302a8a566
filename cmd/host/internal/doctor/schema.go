package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/booking-platform/booking-platform/migrations"
)

// newerSQL reads what the database has; a newer release may have sets that this program
// knows nothing of.
const newerSQL = `SELECT v.set_name, v.version FROM booking_platform.schema_versions v ORDER BY v.set_name`

// schema compares what the database has with what this program needs.
func (e *examination) schema(ctx context.Context) ([]Finding, error) {
	all, err := migrations.Status(ctx, e.DB, migrations.All)
	if err != nil {
		return nil, err
	}
	newest := map[string]int{}
	var pending []string
	for _, m := range all {
		newest[m.Set] = m.Version
		if !m.Applied {
			pending = append(pending, m.File)
		}
	}
	if len(pending) > 0 {
		return []Finding{e.inProduction(Schema,
			fmt.Sprintf("%d of %d migrations are not applied, the first is %s", len(pending), len(all), pending[0]),
			"Run: host migrate up; a host that starts does the same.")}, nil
	}
	e.current.Store(true)
	found := []Finding{ok(Schema, "has what this program needs")}
	// What is left that Check looks for is the constraint.
	if err := migrations.Check(ctx, e.DB, migrations.All); errors.Is(err, migrations.ErrPending) {
		found = append(found, problem(SchemaConstraint,
			"the exclusion constraint bookings_no_overlap is missing: a slot can be sold twice",
			"Stop the hosts, then restore it as migrations/booking/00001_bookings.sql makes it, with the extension btree_gist that it needs; bookings that overlap by now have to be moved before."))
	} else if err != nil {
		return nil, err
	}
	newer, err := e.newer(ctx, newest)
	if err != nil {
		return nil, err
	}
	if newer != "" {
		found = append(found, warning(SchemaNewer,
			"the database is newer than this program ("+newer+"), as after a roll-back: it works",
			"Deploy the newer release again when its fault is found; do not take migrations back."))
	}
	return found, nil
}

// newer names what the database has beyond the versions that this program knows.
func (e *examination) newer(ctx context.Context, known map[string]int) (string, error) {
	rows, err := e.DB.QueryContext(ctx, newerSQL)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var newer []string
	for rows.Next() {
		var set string
		var version int
		if err := rows.Scan(&set, &version); err != nil {
			return "", err
		}
		if version > known[set] {
			newer = append(newer, fmt.Sprintf("%s %d", set, version))
		}
	}
	return strings.Join(newer, ", "), rows.Err()
}

// What a host does with the rows; versions are read alone.
const lackingSQL = `
SELECT c.relname, p.name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p(name)
WHERE n.nspname = 'booking_platform' AND c.relkind IN ('r', 'p') AND c.relname NOT LIKE 'goose\_%'
	AND (p.name = 'SELECT' OR c.relname <> 'schema_versions')
	AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, p.name))
ORDER BY c.relname, p.name`

// What a first migration needs: the schema or the right to make it, and the extension or
// that it can be had.
const firstSQL = `
SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('booking_platform') IS NOT NULL
		AND pg_catalog.has_schema_privilege(to_regnamespace('booking_platform'), 'CREATE'),
	EXISTS (SELECT 1 FROM pg_catalog.pg_available_extensions x WHERE x.name = 'btree_gist')`

// databaseRights looks at what the role may do.
func (e *examination) databaseRights(ctx context.Context) ([]Finding, error) {
	if !e.current.Load() {
		return e.firstRights(ctx)
	}
	rows, err := e.DB.QueryContext(ctx, lackingSQL)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lacking []string
	for rows.Next() {
		var table, right string
		if err := rows.Scan(&table, &right); err != nil {
			return nil, err
		}
		lacking = append(lacking, right+" on "+table)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(lacking) == 0 {
		return []Finding{ok(DatabaseRights, "the role may do what a host does")}, nil
	}
	more := ""
	if len(lacking) > 3 {
		more = fmt.Sprintf(" and %d more", len(lacking)-3)
	}
	return []Finding{problem(DatabaseRights,
		"the role of DATABASE_URL may not "+strings.Join(lacking[:min(3, len(lacking))], ", ")+more,
		"Have the owner of the tables run: GRANT USAGE ON SCHEMA booking_platform TO <role>; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA booking_platform TO <role>.")}, nil
}

func (e *examination) firstRights(ctx context.Context) ([]Finding, error) {
	var create, extension bool
	if err := e.DB.QueryRowContext(ctx, firstSQL).Scan(&create, &extension); err != nil {
		return nil, err
	}
	switch {
	case !extension:
		return []Finding{problem(DatabaseRights, "the server has no extension btree_gist",
			"Install Postgres's contrib modules on the server (postgresql-contrib).")}, nil
	case !create:
		return []Finding{problem(DatabaseRights, "the role of DATABASE_URL may not make what migrations need",
			"Have a superuser run once: CREATE SCHEMA booking_platform AUTHORIZATION <role>; CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public.")}, nil
	}
	return []Finding{ok(DatabaseRights, "the role may make what migrations need")}, nil
}
