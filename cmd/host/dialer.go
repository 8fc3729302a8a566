package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// dialer connects to Postgres so that no single read waits for ever. A server that is
// frozen, or behind a cable that was cut, sends nothing, and the driver waits for it
// whatever the context says (it asks the server to cancel). Reads happen only while an
// answer is due, so an idle connection is not touched.
type dialer struct{ limit time.Duration }

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.limit > 0 {
		conn = &impatientConn{Conn: conn, limit: d.limit}
	}
	if sockets, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		sockets.next(conn)
	}
	return conn, nil
}

// attempt is one connection while the driver makes it, server by server, with and without
// TLS. lib/pq leaves the socket of a refused TLS request open when it dials again
// (sslmode=prefer), and that of a refused login under sslmode=allow; a server that is
// told to stop then waits for their clients. The driver uses one socket at a time, the
// newest.
type attempt struct{ current net.Conn }

// attemptKey carries the attempt in the context of a dial. The driver also dials to
// cancel a statement, under another context: those sockets it closes itself.
type attemptKey struct{}

// next closes the socket that the driver has abandoned. Closing one twice does no harm.
func (a *attempt) next(conn net.Conn) {
	if a.current != nil {
		_ = a.current.Close()
	}
	a.current = conn
}

// Dial is for the driver's interface.
func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialTimeout is for the driver's interface.
func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.DialContext(ctx, network, address)
}

// impatientConn gives each read a deadline, unless the driver has set one of its own, as
// it does while it connects.
type impatientConn struct {
	net.Conn
	limit time.Duration
	mu    sync.Mutex
	own   bool
}

func (c *impatientConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.own = !t.IsZero()
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *impatientConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	own := c.own
	c.mu.Unlock()
	if !own {
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}
