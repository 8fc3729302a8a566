package main_test

import (
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// dbProxy stands between a host and its Postgres, so that a test can take the database
// away and give it back.
type dbProxy struct {
	target   string
	listener net.Listener
	mu       sync.Mutex
	conns    map[net.Conn]bool
	down     bool
	// frozen, when not nil, is closed to let bytes flow again.
	frozen chan struct{}
}

// newDBProxy returns the proxy and the URL through it.
func newDBProxy(t *testing.T, databaseURL string) (*dbProxy, string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &dbProxy{target: u.Host, listener: listener, conns: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() { p.thaw(); p.cut(); _ = listener.Close() })
	u.Host = listener.Addr().String()
	return p, u.String()
}

func (p *dbProxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil || !p.keep(client, server) {
			_ = client.Close()
			continue
		}
		go p.pipe(client, server)
		go p.pipe(server, client)
	}
}

// keep notes a connection, unless the database is down.
func (p *dbProxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

func (p *dbProxy) pipe(from, to net.Conn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection, and new ones at once. The port stays ours: given up, it
// could become another test's.
func (p *dbProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.conns = map[net.Conn]bool{}
}

func (p *dbProxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// freeze keeps connections open and lets nothing through, as a server that was stopped
// does.
func (p *dbProxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *dbProxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}
