package webhook_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// proxy is between a test and its database, so that the connection can fail while the
// server goes on.
type proxy struct {
	target string
	addr   string

	mu     sync.Mutex
	down   bool          // connections are cut, new ones refused
	silent chan struct{} // what the database says is held back until this is closed; nil is none
	eat    bool          // what the database says next is lost, and the connection with it
	conns  map[net.Conn]struct{}
}

// newProxy also returns the URL that leads through it.
func newProxy(t *testing.T, databaseURL string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{target: u.Host, addr: l.Addr().String(), conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() { _ = l.Close(); p.set(true) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.link(c)
		}
	}()
	u.Host = p.addr
	return p, u.String()
}

func (p *proxy) link(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return
	}
	p.conns[client], p.conns[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, client)
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || !p.pass() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass waits while the connection is silent, and returns whether to forward.
func (p *proxy) pass() bool {
	p.mu.Lock()
	silent, eaten := p.silent, p.eat
	p.eat = false
	p.mu.Unlock()
	if silent != nil {
		<-silent
	}
	return !eaten
}

// set cuts all connections and refuses new ones, or accepts them again, and ends a hang.
func (p *proxy) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
	if p.silent != nil {
		close(p.silent)
		p.silent = nil
	}
}

// hang holds back what the database sends, as a stopped server does.
func (p *proxy) hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = make(chan struct{})
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.silent)
	p.silent = nil
}

// loseNext cuts the connection on which the database sends next.
func (p *proxy) loseNext() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eat = true
}
