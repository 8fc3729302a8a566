package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// What Postgres itself ends on the host's connections, whatever has become of the host: a statement a moment after the request that wanted it
// and before readLimit, a wait for a lock before that, and a transaction in which nothing happens.
const (
	statementLimit = 16 * time.Second
	lockLimit      = 10 * time.Second
	idleLimit      = 30 * time.Second
)

// limits are settings of Postgres that a connection begins with.
type limits map[string]time.Duration

var (
	// servingLimits are those of requests and steps.
	servingLimits = limits{"statement_timeout": statementLimit, "lock_timeout": lockLimit, "idle_in_transaction_session_timeout": idleLimit}
	// migratingLimits take away what the role may have: a migration bounds its locks itself, and may take its time.
	migratingLimits = limits{"statement_timeout": 0, "lock_timeout": 0, "idle_in_transaction_session_timeout": 0}
)

// connector makes connections that begin with limits. They are parameters of the connection's startup, which a pooler in transaction mode either
// ignores, or refuses as it does everything that it cannot keep apart for those who share a connection. Where they are refused it connects
// without: then the role has to have them, and [missingLimits] tells.
type connector struct {
	limited, plain *pq.Connector
	refused        atomic.Bool
}

// newConnector reads the URL. What that says of a limit is kept, but for the limits of a migration. wait bounds each read, and 0 is no limit.
func newConnector(databaseURL string, l limits, wait time.Duration) (*connector, error) {
	cfg, err := pq.NewConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	with := cfg.Clone()
	if with.Runtime == nil {
		with.Runtime = map[string]string{}
	}
	for name, limit := range l {
		_, said := cfg.Runtime[name]
		if limit == 0 || !said && !strings.Contains(cfg.Options, name) {
			with.Runtime[name] = fmt.Sprint(limit.Milliseconds())
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
		if wait > 0 {
			made.Dialer(dialer{wait})
		}
		*one.made = made
	}
	return c, nil
}

// Connect is for database/sql.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if !c.refused.Load() {
		conn, err := c.limited.Connect(ctx)
		// By its words, because with several hosts the codes of the others are beside it; PgBouncer's code is the general one of the protocol.
		if err == nil || !strings.Contains(err.Error(), "unsupported startup parameter") {
			return conn, err
		}
		c.refused.Store(true)
	}
	return c.plain.Connect(ctx)
}

// Driver is for database/sql.
func (c *connector) Driver() driver.Driver { return c.plain.Driver() }

// openDB makes a pool of connections with these limits; wait bounds each read, and 0 is no limit.
func openDB(databaseURL string, l limits, wait time.Duration) (*sql.DB, error) {
	c, err := newConnector(databaseURL, l, wait)
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
