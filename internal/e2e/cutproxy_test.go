package e2e

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// cutProxy stands between a host and Postgres, and can be cut: then it ends what goes through it, and takes nothing new.
type cutProxy struct {
	target string
	mu     sync.Mutex
	down   bool
	open   map[net.Conn]bool
}

// newCutProxy returns the proxy and the database's URL through it.
func newCutProxy(t *testing.T, database string) (*cutProxy, string) {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	p := &cutProxy{target: u.Host, open: map[net.Conn]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close(); p.cut() })
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

func (p *cutProxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client) {
		return
	}
	defer p.drop(client)
	go func() { defer client.Close(); _, _ = io.Copy(client, server) }()
	_, _ = io.Copy(server, client)
}

func (p *cutProxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return false
	}
	p.open[conn] = true
	return true
}

func (p *cutProxy) drop(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
}

func (p *cutProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for conn := range p.open {
		conn.Close()
	}
}

func (p *cutProxy) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}
