package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// What Postgres itself ends on the host's connections, whatever has become of the host: a
// statement a moment after the request that wanted it and before readLimit, a wait for a
// lock before that, and a transaction in which nothing happens.
const (
	statementLimit = 16 * time.Second
	lockLimit      = 10 * time.Second
	idleLimit      = 30 * time.Second
)

// settings are those of Postgres that a connection begins with.
type settings map[string]string

// isolation is that of statements outside a transaction, whatever the role's default:
// they are written for READ COMMITTED, as every transaction of ours asks for it.
const isolation = "default_transaction_isolation"

var (
	// servingSettings are those of requests and steps.
	servingSettings = settings{
		"statement_timeout":                   milliseconds(statementLimit),
		"lock_timeout":                        milliseconds(lockLimit),
		"idle_in_transaction_session_timeout": milliseconds(idleLimit),
		isolation:                             "read committed",
	}
	// migratingSettings take away what the role may have: a migration bounds its locks
	// itself, and may take its time.
	migratingSettings = settings{
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
		isolation: "read committed",
	}
)

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// connector makes connections that begin with settings. They are parameters of the
// connection's startup, which a pooler in transaction mode either ignores, or refuses as
// it does everything that it cannot keep apart for those who share a connection. Where
// they are refused it connects without: then the role has to have them, and
// [missingLimits] tells.
type connector struct {
	limited, plain *pq.Connector
	refused        atomic.Bool
}

// newConnector reads the URL. What that says of a limit is kept, but for the limits of a
// migration. wait bounds each read, and 0 is no limit.
func newConnector(databaseURL string, begin settings, wait time.Duration) (*connector, error) {
	cfg, err := pq.NewConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	with := cfg.Clone()
	if with.Runtime == nil {
		with.Runtime = map[string]string{}
	}
	for name, value := range begin {
		_, said := cfg.Runtime[name]
		if name == isolation || value == "0" || !said && !strings.Contains(cfg.Options, name) {
			with.Runtime[name] = value
		}
	}
	c := &connector{}
	for _, one := range []struct {
		made **pq.Connector
		cfg  pq.Config
	}{{&c.limited, with}, {&c.plain, cfg}} {
		made, err := pq.NewConnectorConfig(one.cfg)
		if err != nil {
			return nil, err
		}
		made.Dialer(dialer{wait})
		*one.made = made
	}
	return c, nil
}

// Connect is for database/sql.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if !c.refused.Load() {
		conn, err := connect(ctx, c.limited)
		// By its words, because with several hosts the codes of the others are beside it;
		// PgBouncer's code is the general one of the protocol.
		if err == nil || !strings.Contains(err.Error(), "unsupported startup parameter") {
			return conn, err
		}
		c.refused.Store(true)
	}
	return connect(ctx, c.plain)
}

// connect makes one connection and closes the sockets that the driver has opened beside
// it.
func connect(ctx context.Context, c *pq.Connector) (driver.Conn, error) {
	sockets := &attempt{}
	conn, err := c.Connect(context.WithValue(ctx, attemptKey{}, sockets))
	if err != nil {
		sockets.next(nil)
	}
	return conn, err
}

// Driver is for database/sql.
func (c *connector) Driver() driver.Driver { return c.plain.Driver() }

// openDB makes a pool of connections with these settings; wait bounds each read, and 0 is
// no limit.
func openDB(databaseURL string, begin settings, wait time.Duration) (*sql.DB, error) {
	c, err := newConnector(databaseURL, begin, wait)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return sql.OpenDB(c), nil
}

const missingLimitsSQL = `
SELECT coalesce(string_agg(s.name, ', ' ORDER BY s.name), '') FROM pg_catalog.pg_settings s
WHERE s.name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND s.setting = '0'`

// missingLimits names the limits that a connection of the pool does not have; none is "".
func missingLimits(ctx context.Context, db *sql.DB) (names string, err error) {
	err = db.QueryRowContext(ctx, missingLimitsSQL).Scan(&names)
	return names, err
}
