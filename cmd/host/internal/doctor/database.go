package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/migrations"
)

// reach checks whether the database answers; the other checks of it depend on that.
func (e *examination) reach(ctx context.Context) ([]Finding, error) {
	const notRunning = "the embedded Postgres runs only while a host does: start one to check its data"
	if e.DB == nil {
		if e.Config.Embedded {
			return []Finding{ok(Database, notRunning)}, nil
		}
		return nil, nil // DATABASE_URL is a problem of the configuration.
	}
	err := e.DB.PingContext(ctx)
	refused := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.Errno(10061)) // Windows.
	if e.Config.Embedded && refused {
		return []Finding{ok(Database, notRunning)}, nil
	}
	if err != nil {
		if p, permanent := config.Refusal(err); permanent && !e.Config.Embedded {
			return []Finding{problem(Database, p.Name+" "+p.Wrong, sentence(p.Remedy))}, nil
		}
		return []Finding{problem(Database, "cannot be reached: "+err.Error(), e.unreachable(err))}, nil
	}
	e.reached.Store(true)
	return []Finding{ok(Database, "answers")}, nil
}

// unreachable is the remedy for a database that does not answer.
func (e *examination) unreachable(err error) string {
	switch {
	case pg.SQLState(err) == tooManyConnections:
		return "End sessions, or raise the limit that the error names: RUNBOOK.md, \"Pool\"."
	case len(servers(e.Config.DatabaseURL)) > 1:
		return "If the primary is gone, promote the standby: RUNBOOK.md, \"Failover\"."
	}
	return "Check that Postgres runs and that DATABASE_URL is right: RUNBOOK.md, \"Database down\"."
}

// servers returns the hosts of a database URL.
func servers(databaseURL string) []string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil
	}
	all := append(strings.Split(u.Hostname(), ","), strings.Split(u.Query().Get("host"), ",")...)
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// databaseURL repeats the warnings of the configuration.
func (e *examination) databaseURL(context.Context) ([]Finding, error) {
	var found []Finding
	for _, w := range e.Config.DatabaseWarnings {
		found = append(found, warning(DatabaseURL, w,
			"Remove what has no effect, or write what the driver has instead into DATABASE_URL."))
	}
	if len(found) == 0 {
		found = append(found, ok(DatabaseURL, "every parameter has an effect"))
	}
	return found, nil
}

// remote reports whether a server is across a network. A name without a dot is one of the
// same compose project or pod.
func remote(host string) bool {
	return !strings.HasPrefix(host, "/") && !local(host) && strings.ContainsAny(host, ".:")
}

func (e *examination) databaseTLS(context.Context) ([]Finding, error) {
	if !e.Config.Production || !slices.ContainsFunc(servers(e.Config.DatabaseURL), remote) {
		return nil, nil
	}
	u, err := url.Parse(e.Config.DatabaseURL)
	if err != nil {
		return nil, err
	}
	sslmode := u.Query().Get("sslmode")
	if u.Query().Get("sslrootcert") == "system" { // It implies verify-full.
		sslmode = "verify-full"
	}
	risk := "customers' data may be sent unencrypted"
	switch sslmode {
	case "verify-full", "verify-ca":
		return []Finding{ok(DatabaseTLS, "sslmode is "+sslmode)}, nil
	case "require":
		risk = "the server's identity is not verified"
	}
	return []Finding{warning(DatabaseTLS, "the database is across a network and sslmode is "+sslmode+": "+risk,
		"Add sslmode=verify-full to DATABASE_URL, and sslrootcert unless a public authority signed the "+
			"certificate.")}, nil
}

// server checks the properties of server and database.
func (e *examination) server(ctx context.Context) ([]Finding, error) {
	s, err := e.Server(ctx, e.DB)
	if err != nil {
		return nil, err
	}
	found := []Finding{ok(DatabaseVersion, "Postgres "+s.Version), ok(DatabaseEncoding, s.Encoding+", "+s.Locale),
		ok(DatabaseReadOnly, "can be written to")}
	if f := s.VersionFault(); f != nil {
		found[0] = problem(DatabaseVersion, f.Found, sentence(f.Remedy))
	}
	if f := s.EncodingFault(); f != nil {
		found[1] = problem(DatabaseEncoding, f.Found, sentence(f.Remedy))
	}
	if f := s.ReadOnlyFault(); f != nil {
		found[2] = problem(DatabaseReadOnly, f.Found, sentence(f.Remedy))
	}
	if e.Config.Production {
		found = append(found, durability(s))
	}
	made, now, err := s.Collation(ctx, e.DB)
	if err != nil {
		return found, err
	}
	return append(found, collation(made, now)), nil
}

func durability(s postgres.Server) Finding {
	if f := s.DurabilityFault(); f != nil {
		return problem(DatabaseDurability, f.Found, sentence(f.Remedy))
	}
	return ok(DatabaseDurability, "commits are durable")
}

func collation(made, now string) Finding {
	if made != now && made != "" && now != "" {
		return warning(DatabaseCollation, "the indexes have version "+made+" of the collation, and the system has "+now+
			": an index of text may miss rows", "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.")
	}
	return ok(DatabaseCollation, "has the version of the indexes")
}

const clockRemedy = "Synchronise the clock by NTP (timedatectl, chrony)."

const databaseClockSQL = `SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint`

// databaseClock compares the clocks by the fastest of three round trips. The database's
// clock decides about holds and sessions, and this machine's is shown to customers.
func (e *examination) databaseClock(ctx context.Context) ([]Finding, error) {
	var best, apart time.Duration
	for i := range 3 {
		var micros int64
		before := e.Now()
		if err := e.DB.QueryRowContext(ctx, databaseClockSQL).Scan(&micros); err != nil {
			return nil, err
		}
		trip := e.Now().Sub(before)
		if i == 0 || trip < best {
			best, apart = trip, time.UnixMicro(micros).Sub(before.Add(trip/2))
		}
	}
	found := fmt.Sprintf("the clocks of this machine and the database differ by %s",
		apart.Abs().Round(time.Millisecond))
	switch {
	case apart.Abs() > time.Minute:
		return []Finding{problem(DatabaseClock, found, clockRemedy)}, nil
	case apart.Abs() > 5*time.Second:
		return []Finding{warning(DatabaseClock, found, clockRemedy)}, nil
	}
	return []Finding{ok(DatabaseClock, found)}, nil
}

// From Postgres 16 on, connections can be reserved for a role, too. A limit of -1 is
// none.
const connectionsSQL = `
SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
		- COALESCE(NULLIF(current_setting('reserved_connections', true), ''), '0')::integer,
	r.rolconnlimit, d.datconnlimit
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = current_user AND d.datname = current_database()`

func (e *examination) databaseConnections(ctx context.Context) ([]Finding, error) {
	const operators = 3 // Connections of people and commands.
	var server, role, database int
	if err := e.DB.QueryRowContext(ctx, connectionsSQL).Scan(&server, &role, &database); err != nil {
		return nil, err
	}
	available, limit := server, "the server"
	if role >= 0 && role < available {
		available, limit = role, "the role"
	}
	if database >= 0 && database < available {
		available, limit = database, "the database"
	}
	need := e.PoolSize*e.Hosts + operators
	found := fmt.Sprintf("%d hosts with up to %d connections each, and %d for operators, need %d; %s allows %d",
		e.Hosts,
		e.PoolSize, operators, need, limit, available)
	if need > available {
		return []Finding{e.inProduction(DatabaseConnections, found,
			"Raise max_connections or the limit of role or database, run fewer hosts, or use PgBouncer.")}, nil
	}
	return []Finding{ok(DatabaseConnections, found)}, nil
}

// schemaFloorSQL returns the oldest versions that work with this schema.
const schemaFloorSQL = `SELECT f.set_name, f.version FROM booking_platform.schema_floor f ORDER BY f.set_name`

// schemaVersionsSQL also returns sets of a newer release.
const schemaVersionsSQL = `SELECT v.set_name, v.version FROM booking_platform.schema_versions v ORDER BY v.set_name`

func (e *examination) schema(ctx context.Context) ([]Finding, error) {
	all, err := migrations.Status(ctx, e.DB, migrations.All)
	if err != nil {
		return nil, err
	}
	newest := map[string]int{}
	var pending []migrations.Migration
	for _, m := range all {
		newest[m.Set] = m.Version
		if !m.Applied {
			pending = append(pending, m)
		}
	}
	if len(pending) > 0 {
		first := pending[0]
		// Without the table there is no record.
		var recorded int
		err := e.DB.QueryRowContext(ctx, "SELECT coalesce(max(g.version_id), 0) FROM booking_platform.goose_"+first.Set+" g").
			Scan(&recorded)
		if err == nil && recorded >= first.Version {
			return []Finding{problem(Schema, first.File+" is recorded as applied, but the schema is not complete",
				"host migrate up does not help: RUNBOOK.md, \"Migration fails\".")}, nil
		}
		return []Finding{e.inProduction(Schema,
			fmt.Sprintf("%d of %d migrations are not applied, the first is %s", len(pending), len(all), first.File),
			"Run: host migrate up; a host that starts does the same.")}, nil
	}
	e.current.Store(true)
	found := []Finding{ok(Schema, "complete")}
	// With all migrations applied, only the constraint can be missing.
	if err := migrations.Check(ctx, e.DB, migrations.All); errors.Is(err, migrations.ErrPending) {
		found = append(found, problem(SchemaConstraint,
			"the exclusion constraint bookings_no_overlap is missing: a slot can be sold twice",
			"Stop the hosts, move overlapping bookings, and create it as in migrations/booking/00001_bookings.sql, "+
				"with the "+
				"extension btree_gist."))
	} else if err != nil {
		return nil, err
	}
	tooNew, err := e.newer(ctx, schemaFloorSQL, newest)
	if err != nil {
		return nil, err
	}
	newer, err := e.newer(ctx, schemaVersionsSQL, newest)
	if err != nil {
		return nil, err
	}
	switch {
	case tooNew != "":
		found = append(found, problem(SchemaNewer,
			"the database is two releases newer than this program, which does not start with it ("+tooNew+")",
			"Start a newer version: RUNBOOK.md, \"Roll back\"."))
	case newer != "":
		found = append(found, warning(SchemaNewer,
			"the database is newer than this program ("+newer+"), as after a rollback",
			"Deploy the newer release again when it is corrected; do not revert migrations."))
	}
	return found, nil
}

// newer returns the versions that a query finds and that are newer than known.
func (e *examination) newer(ctx context.Context, query string, known map[string]int) (string, error) {
	rows, err := e.DB.QueryContext(ctx, query)
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

// missingRightsSQL lists rights on tables; schema_versions is only read.
const missingRightsSQL = `
SELECT c.relname, p.name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p(name)
WHERE n.nspname = 'booking_platform' AND c.relkind IN ('r', 'p') AND c.relname NOT LIKE 'goose\_%'
	AND (p.name = 'SELECT' OR c.relname <> 'schema_versions')
	AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, p.name))
ORDER BY c.relname, p.name`

// migrationRightsSQL is what the first migration needs: a schema to create tables in, and
// the extension.
const migrationRightsSQL = `
SELECT pg_catalog.has_database_privilege(current_database(), 'CREATE') OR to_regnamespace('booking_platform') IS NOT NULL
		AND pg_catalog.has_schema_privilege(to_regnamespace('booking_platform'), 'CREATE'),
	EXISTS (SELECT 1 FROM pg_catalog.pg_available_extensions x WHERE x.name = 'btree_gist')`

func (e *examination) databaseRights(ctx context.Context) ([]Finding, error) {
	if !e.current.Load() {
		return e.migrationRights(ctx)
	}
	rows, err := e.DB.QueryContext(ctx, missingRightsSQL)
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
		return []Finding{ok(DatabaseRights, "the role has all rights")}, nil
	}
	more := ""
	if len(lacking) > 3 {
		more = fmt.Sprintf(" and %d more", len(lacking)-3)
	}
	return []Finding{problem(DatabaseRights,
		"the role of DATABASE_URL lacks "+strings.Join(lacking[:min(3, len(lacking))], ", ")+more,
		"As owner of the tables run: GRANT USAGE ON SCHEMA booking_platform TO <role>; GRANT SELECT, INSERT, UPDATE, "+
			"DELETE ON ALL TABLES IN SCHEMA booking_platform TO <role>.")}, nil
}

func (e *examination) migrationRights(ctx context.Context) ([]Finding, error) {
	var create, extension bool
	if err := e.DB.QueryRowContext(ctx, migrationRightsSQL).Scan(&create, &extension); err != nil {
		return nil, err
	}
	switch {
	case !extension:
		return []Finding{problem(DatabaseRights, "the server has no extension btree_gist",
			"Install Postgres's contrib modules on the server (postgresql-contrib).")}, nil
	case !create:
		return []Finding{problem(DatabaseRights, "the role of DATABASE_URL may not create what migrations need",
			"As a superuser run once: CREATE SCHEMA booking_platform AUTHORIZATION <role>; CREATE EXTENSION IF NOT "+
				"EXISTS "+
				"btree_gist SCHEMA public.")}, nil
	}
	return []Finding{ok(DatabaseRights, "the role may create what migrations need")}, nil
}
