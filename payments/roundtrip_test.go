package payments_test

import (
	"database/sql"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// countedConn counts the round trips of a connection: each time something is read after
// something was written.
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

type countingDialer struct{ trips *atomic.Int64 }

func (d countingDialer) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &countedConn{Conn: conn, trips: d.trips}, err
}

func (d countingDialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, timeout)
	return &countedConn{Conn: conn, trips: d.trips}, err
}

// countingDB opens a database and returns the count of its round trips.
func countingDB(t *testing.T) (*sql.DB, *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(testdb.Direct(t, testdb.URL(t), "binary_parameters, which needs the session"))
	require.NoError(t, err)
	query := u.Query()
	query.Set("binary_parameters", "yes")
	u.RawQuery = query.Encode()
	connector, err := pq.NewConnector(u.String())
	require.NoError(t, err)
	trips := &atomic.Int64{}
	connector.Dialer(countingDialer{trips})
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db, trips
}

// Without contention, and with the resource in memory.
func TestRoundTrips_Book(t *testing.T) {
	t.Parallel()
	db, trips := countingDB(t)
	w := newWorld(t, setup{db: db})
	free := w.newResource("free", 0, 1)
	w.book(w.wish(0))
	before := trips.Load()
	w.book(w.wish(1))
	require.EqualValues(t, 3, trips.Load()-before, "hold, intent, session")

	req := w.wish(0)
	req.Resource = free.ID
	w.book(req)
	before = trips.Load()
	req.Start = slot(1)
	w.book(req)
	require.EqualValues(t, 2, trips.Load()-before, "hold, confirm")
}
