package e2e

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// dbProxy is between a host and Postgres. Armed, it passes the next commit of a row of the
// ledger and withholds the response; with before, it withholds the commit: COMMIT, or the
// statement that commits by itself. Cut, it refuses connections until it is mended.
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
	var sent frontend
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if sent.commits(buf[:n]) && p.armed.CompareAndSwap(true, false) {
			keep.Store(true)
			if p.before {
				p.once.Do(func() { close(p.held) })
				// Its receiver has ended by then.
				_, _ = io.Copy(io.Discard, client)
				return
			}
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// frontend follows what a client sends on a connection
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
type frontend struct {
	rest       []byte
	statements map[string]string
	bound      string
	// inTx: a transaction is open. wrote: it has a new row of the ledger.
	inTx, wrote bool
}

// commits reports whether a chunk commits a new row of the ledger.
func (f *frontend) commits(chunk []byte) (commits bool) {
	if len(f.rest) == 0 && chunk[0] == 0 {
		return false // The first message has a length and no type.
	}
	f.rest = append(f.rest, chunk...)
	for len(f.rest) >= 5 {
		end := 1 + int(f.rest[1])<<24 + int(f.rest[2])<<16 + int(f.rest[3])<<8 + int(f.rest[4])
		if end > len(f.rest) {
			break
		}
		kind, body := f.rest[0], f.rest[5:end]
		f.rest = f.rest[end:]
		first, after, _ := bytes.Cut(body, []byte{0})
		second, _, _ := bytes.Cut(after, []byte{0})
		switch kind {
		case 'Q':
			commits = f.runs(string(first)) || commits
		case 'P':
			if f.statements == nil {
				f.statements = map[string]string{}
			}
			f.statements[string(first)] = string(second)
		case 'B':
			f.bound = f.statements[string(second)]
		case 'E':
			commits = f.runs(f.bound) || commits
		}
	}
	return commits
}

func (f *frontend) runs(query string) (commits bool) {
	switch {
	case strings.HasPrefix(query, "BEGIN"):
		f.inTx, f.wrote = true, false
	case strings.HasPrefix(query, "COMMIT"), strings.HasPrefix(query, "ROLLBACK"):
		commits = f.wrote && query[0] == 'C'
		f.inTx, f.wrote = false, false
	case strings.Contains(query, "INSERT INTO booking_platform.payment_events"):
		commits = !f.inTx
		f.wrote = f.inTx
	}
	return commits
}
