package e2e

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// dbProxy is between a host and Postgres. Armed, it passes the COMMIT of the next
// transaction that wrote to the ledger and withholds the response; with before, it
// withholds the COMMIT. Cut, it refuses connections until it is mended.
type dbProxy struct {
	target string
	before bool
	armed  atomic.Bool
	once   sync.Once
	held   chan struct{} // closed when a commit, or its answer, is being kept

	mu   sync.Mutex
	down bool
	open map[net.Conn]bool
}

func (p *dbProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for conn := range p.open {
		conn.Close()
	}
}

func (p *dbProxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// keep reports whether a connection may stay.
func (p *dbProxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.open[conn] = true
	}
	return !p.down
}

func (p *dbProxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

// newDBProxy also returns the database's URL through it.
func newDBProxy(t *testing.T, database string) (*dbProxy, string) {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	p := &dbProxy{target: u.Host, held: make(chan struct{}), open: map[net.Conn]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *dbProxy) serve(client net.Conn) {
	defer client.Close()
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	var keep atomic.Bool
	go func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			if keep.Load() {
				p.once.Do(func() { close(p.held) })
				continue
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	ledger := false
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		chunk := buf[:n]
		// The steps read the ledger too, and roll back if they find nothing.
		ledger = ledger && !bytes.Contains(chunk, []byte("ROLLBACK")) ||
			bytes.Contains(chunk, []byte("INSERT INTO booking_platform.payment_events"))
		if bytes.Contains(chunk, []byte("COMMIT")) {
			if ledger && p.armed.CompareAndSwap(true, false) {
				keep.Store(true)
				if p.before {
					p.once.Do(func() { close(p.held) })
					// Its receiver has ended by then.
					_, _ = io.Copy(io.Discard, client)
					return
				}
			}
			ledger = false
		}
		if _, err := server.Write(chunk); err != nil {
			return
		}
	}
}
