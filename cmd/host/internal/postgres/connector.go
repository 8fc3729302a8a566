package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// Limits that Postgres itself enforces. A statement ends shortly after the request that
// wants it and before the host gives up reading, and a wait for a lock ends before that.
const (
	statementTimeout = 16 * time.Second
	lockTimeout      = 10 * time.Second
	idleTimeout      = 30 * time.Second
)

// Settings are server settings by name that a connection begins with.
type Settings map[string]string

// isolation is set whatever the role's default: single statements need READ COMMITTED.
const isolation = "default_transaction_isolation"

// Serving returns the settings of requests and background work.
func Serving() Settings {
	return Settings{
		"statement_timeout":                   milliseconds(statementTimeout),
		"lock_timeout":                        milliseconds(lockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleTimeout),
		isolation:                             "read committed",
	}
}

// Migrating returns the settings of migrations, which set their own lock_timeout and may
// take long.
func Migrating() Settings {
	return Settings{
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
		isolation: "read committed",
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Open makes a pool whose connections begin with settings, which the URL may override
// except for those of [Migrating]. readTimeout bounds each read; 0 is no limit. It
// connects to nothing.
//
// The settings are startup parameters. A pooler in transaction mode ignores or refuses
// them. If they are refused, Open connects without; the role then has to have them, which
// [MissingLimits] checks.
func Open(databaseURL string, settings Settings, readTimeout time.Duration) (*sql.DB, error) {
	c, err := newConnector(databaseURL, settings, readTimeout)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return sql.OpenDB(c), nil
}

type connector struct {
	limited, plain *pq.Connector
	refused        atomic.Bool
}

func newConnector(databaseURL string, settings Settings, readTimeout time.Duration) (*connector, error) {
	cfg, err := pq.NewConfig(databaseURL)
	if err != nil {
		return nil, err
	}
	limited := cfg.Clone()
	if limited.Runtime == nil {
		limited.Runtime = map[string]string{}
	}
	for name, value := range settings {
		_, set := cfg.Runtime[name]
		if name == isolation || value == "0" || !set && !strings.Contains(cfg.Options, name) {
			limited.Runtime[name] = value
		}
	}
	c := &connector{}
	for _, one := range []struct {
		made **pq.Connector
		cfg  pq.Config
	}{{&c.limited, limited}, {&c.plain, cfg}} {
		made, err := pq.NewConnectorConfig(one.cfg)
		if err != nil {
			return nil, err
		}
		made.Dialer(dialer{readTimeout})
		*one.made = made
	}
	return c, nil
}

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if !c.refused.Load() {
		conn, err := connect(ctx, c.limited)
		// PgBouncer has no error code for it, and with several hosts the errors of all
		// are in one text.
		if err == nil || !strings.Contains(err.Error(), "unsupported startup parameter") {
			return conn, err
		}
		c.refused.Store(true)
	}
	return connect(ctx, c.plain)
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return c.plain.Driver() }

// connect makes one connection, and closes the sockets that the driver leaves open.
func connect(ctx context.Context, c *pq.Connector) (driver.Conn, error) {
	sockets := &attempt{}
	conn, err := c.Connect(context.WithValue(ctx, attemptKey{}, sockets))
	if err != nil {
		sockets.replace(nil)
	}
	return conn, err
}

// attempt is one connect of the driver, which tries servers and TLS modes in turn. lib/pq
// does not close the socket of a refused TLS request (sslmode=prefer) or login
// (sslmode=allow), for which a server that shuts down would wait. The driver uses only
// the newest socket.
type attempt struct{ current net.Conn }

// attemptKey is the key of the attempt in the context. The driver also dials to cancel a
// statement, with another context, and closes those sockets itself.
type attemptKey struct{}

func (a *attempt) replace(conn net.Conn) {
	if a.current != nil {
		_ = a.current.Close()
	}
	a.current = conn
}

// dialer gives each read a timeout. A frozen server or a cut cable sends nothing, and the
// driver waits for the server whatever its context says. Reads happen only while an
// answer is due, so an idle connection is not affected.
type dialer struct{ readTimeout time.Duration }

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.readTimeout > 0 {
		conn = &readTimeoutConn{Conn: conn, timeout: d.readTimeout}
	}
	if sockets, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		sockets.replace(conn)
	}
	return conn, nil
}

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// readTimeoutConn sets a deadline for each read, except while the driver has set its own.
type readTimeoutConn struct {
	net.Conn
	timeout  time.Duration
	mu       sync.Mutex
	deadline bool
}

func (c *readTimeoutConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = !t.IsZero()
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *readTimeoutConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	if !deadline {
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}
