package faults_test

import (
	"bytes"
	"database/sql"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
)

// link is the network between a host and Postgres. A test can inspect what is sent, delay
// it, and lose the answer.
type link struct {
	mu    sync.Mutex
	watch func(c *linked, sent []byte)
}

type linked struct {
	net.Conn
	link *link
	// ledger means that the current transaction has touched the ledger. Used by the
	// writer only.
	ledger bool
	// lose breaks the connection in place of the next answer.
	lose atomic.Bool
}

func (l *link) set(watch func(c *linked, sent []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch = watch
}

func (l *link) Dial(network, address string) (net.Conn, error) {
	return l.DialTimeout(network, address, 30*time.Second)
}

func (l *link) DialTimeout(network, address string, limit time.Duration) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, limit)
	if err != nil {
		return nil, err
	}
	return &linked{Conn: c, link: l}, nil
}

func (l *link) open(t *testing.T, url string) *sql.DB {
	t.Helper()
	connector, err := pq.NewConnector(url)
	require.NoError(t, err)
	connector.Dialer(l)
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (c *linked) Write(b []byte) (int, error) {
	c.ledger = c.ledger || bytes.Contains(b, []byte("payment_events"))
	c.link.mu.Lock()
	watch := c.link.watch
	c.link.mu.Unlock()
	if watch != nil {
		watch(c, b)
	}
	if bytes.Contains(b, []byte("COMMIT")) || bytes.Contains(b, []byte("ROLLBACK")) {
		c.ledger = false
	}
	return c.Conn.Write(b)
}

// Read waits for the answer before it is lost, so Postgres has executed the statement.
func (c *linked) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.lose.Load() {
		_ = c.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
