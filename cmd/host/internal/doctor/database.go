package doctor

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/cmd/host/internal/postgres"
)

// reach finds out whether the database answers. What is asked of it afterwards is asked
// only if it does.
func (e *examination) reach(ctx context.Context) ([]Finding, error) {
	const notRunning = "the private Postgres below DATA_DIR runs only while a host does: start one to have what is in it examined"
	if e.DB == nil {
		if e.Config.Embedded {
			return []Finding{ok(Database, notRunning)}, nil
		}
		// Where it is is a problem of the configuration, which has been told.
		return nil, nil
	}
	err := e.DB.PingContext(ctx)
	if e.Config.Embedded && refused(err) {
		return []Finding{ok(Database, notRunning)}, nil
	}
	if err != nil {
		if p, refused := config.Refusal(err); refused && !e.Config.Embedded {
			return []Finding{problem(Database, p.Name+" "+p.Wrong, sentence(p.Remedy))}, nil
		}
		return []Finding{problem(Database, "cannot be reached: "+err.Error(),
			"See that Postgres runs and that DATABASE_URL is right and reachable from here; nothing in it could be examined.")}, nil
	}
	e.reached.Store(true)
	return []Finding{ok(Database, "answers")}, nil
}

// refused tells that nobody listens there. Windows has a number of its own for it.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.Errno(10061))
}

// database looks at what the server and the database are.
func (e *examination) database(ctx context.Context) ([]Finding, error) {
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
	return ok(DatabaseDurability, "what is committed stays")
}

func collation(made, now string) Finding {
	if made != now && made != "" && now != "" {
		return warning(DatabaseCollation, "the indexes were made with version "+made+
			" of the collation, and the server's machine has "+now+": an index of text may miss rows",
			"REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.")
	}
	return ok(DatabaseCollation, "is that of the indexes")
}

// How far the clocks may be apart. The database's judges holds and sessions, so the
// difference shows first in what people are told.
const (
	clockWarning = 5 * time.Second
	clockProblem = time.Minute
)

const databaseClockSQL = `SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint`

// databaseClock compares the clocks, as often as it takes to see the difference and not
// the way there.
func (e *examination) databaseClock(ctx context.Context) ([]Finding, error) {
	var best, apart time.Duration
	for i := range 3 {
		var micros int64
		before := e.Now()
		if err := e.DB.QueryRowContext(ctx, databaseClockSQL).Scan(&micros); err != nil {
			return nil, err
		}
		way := e.Now().Sub(before)
		if i == 0 || way < best {
			best, apart = way, time.UnixMicro(micros).Sub(before.Add(way/2))
		}
	}
	found := fmt.Sprintf("this machine's clock and the database's are %s apart", apart.Abs().Round(time.Millisecond))
	const remedy = "Have both machines' clocks set by NTP (timedatectl, chrony)."
	switch {
	case apart.Abs() > clockProblem:
		return []Finding{problem(DatabaseClock, found, remedy)}, nil
	case apart.Abs() > clockWarning:
		return []Finding{warning(DatabaseClock, found, remedy)}, nil
	}
	return []Finding{ok(DatabaseClock, found)}, nil
}

// Some connections are kept for superusers, from 16 on for another role too, and a role
// or a database can have a limit of its own (-1 is none).
const connectionsSQL = `
SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
		- COALESCE(NULLIF(current_setting('reserved_connections', true), ''), '0')::integer,
	r.rolconnlimit, d.datconnlimit
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
WHERE r.rolname = current_user AND d.datname = current_database()`

// operators is how many connections people and commands such as this one need beside the
// hosts.
const operators = 3

func (e *examination) databaseConnections(ctx context.Context) ([]Finding, error) {
	var server, role, database int
	if err := e.DB.QueryRowContext(ctx, connectionsSQL).Scan(&server, &role, &database); err != nil {
		return nil, err
	}
	room, limit := server, "the server's"
	if role >= 0 && role < room {
		room, limit = role, "the role's"
	}
	if database >= 0 && database < room {
		room, limit = database, "the database's"
	}
	need := e.PoolSize*e.Hosts + operators
	found := fmt.Sprintf("%d hosts open up to %d connections each, with %d for operators %d; %s limit leaves %d",
		e.Hosts, e.PoolSize, operators, need, limit, room)
	if need > room {
		return []Finding{e.inProduction(DatabaseConnections, found,
			"Raise max_connections or the limit of role or database, run fewer hosts, or put PgBouncer between.")}, nil
	}
	return []Finding{ok(DatabaseConnections, found)}, nil
}
