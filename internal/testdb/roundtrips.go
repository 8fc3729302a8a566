package testdb

import (
	"database/sql"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"
)

// Counting is New with a count of round trips: reads from a connection after a write. It
// opens with lib/pq's binary_parameters and without the pooler.
func Counting(t testing.TB) (*sql.DB, *atomic.Int64) {
	t.Helper()
	return CountingWith(t, true)
}

// CountingWith is Counting with or without binary_parameters.
func CountingWith(t testing.TB, binary bool) (*sql.DB, *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(Direct(t, URL(t), "counts prepared statements, which belong to the session"))
	if err != nil {
		t.Fatal(err)
	}
	if binary {
		query := u.Query()
		query.Set("binary_parameters", "yes")
		u.RawQuery = query.Encode()
	}
	connector, err := pq.NewConnector(u.String())
	if err != nil {
		t.Fatal(err)
	}
	trips := &atomic.Int64{}
	connector.Dialer(countingDialer{trips})
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db, trips
}

type countingDialer struct{ trips *atomic.Int64 }

func (d countingDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, 0)
}

func (d countingDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	return &countedConn{Conn: conn, trips: d.trips}, err
}

type countedConn struct {
	net.Conn
	wrote bool
	trips *atomic.Int64
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.wrote = true
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	if c.wrote {
		c.wrote = false
		c.trips.Add(1)
	}
	return c.Conn.Read(b)
}
