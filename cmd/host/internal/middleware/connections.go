package middleware

import (
	"container/list"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// ConnectionOptions tune [NewConnections]; the zero value works.
type ConnectionOptions struct {
	// Max is the number of connections; 0 is 4096. The limit on open files may lower it.
	Max int
	// ClientIP knows the trusted proxies; nil if there are none.
	ClientIP *ClientIP
}

const (
	// evictGrace protects a connection that has just begun to wait, so that an answer in
	// transit is not cut off.
	evictGrace = 100 * time.Millisecond
	// writeBuffer bounds the kernel's send buffer, which grows to megabytes for a client
	// that does not read.
	writeBuffer = 64 << 10
)

// Connections limits a server's connections so that slow clients cannot block it.
//
// Connections are evicted only at the limit: an evicted client reconnects, which costs
// more than letting it idle. A new connection then replaces the longest waiting one for
// its client (for a request, the rest of one, or to send an answer) of the network with
// the most of them (an IPv4 address, or an IPv6 /64). So connections from one address
// replace each other. A connection with a request in progress is never evicted; if all
// have one, new connections wait in the kernel's queue.
//
// Connections belongs to one server, see [NewServer], and is safe for concurrent use.
type Connections struct {
	max   int
	proxy func(netip.Addr) bool

	mu      sync.Mutex
	changes *sync.Cond
	open    int
	cut     int64
	// waiting connections by network, the longest waiting first. Proxies' are under "".
	waiting map[string]*list.List
	closed  bool
}

// ConnectionStats counts connections: open, waiting for their client, evicted so far.
type ConnectionStats struct {
	Open, Waiting int
	Cut           int64
}

// NewConnections returns the limits of one server.
func NewConnections(opts ConnectionOptions) *Connections {
	if opts.Max <= 0 {
		opts.Max = 4096
	}
	cs := &Connections{max: max(1, min(opts.Max, spareFiles())), waiting: map[string]*list.List{},
		proxy: func(netip.Addr) bool { return false }}
	if opts.ClientIP != nil {
		cs.proxy = opts.ClientIP.trusted
	}
	cs.changes = sync.NewCond(&cs.mu)
	return cs
}

// Stats reads the counters.
func (cs *Connections) Stats() ConnectionStats {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	s := ConnectionStats{Open: cs.open, Cut: cs.cut}
	for _, own := range cs.waiting {
		s.Waiting += own.Len()
	}
	return s
}

// CutWaiting closes connections that have waited for their client for age, and returns
// their number. It is for a shutdown.
func (cs *Connections) CutWaiting(age time.Duration) (n int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, own := range cs.waiting {
		for own.Len() > 0 && time.Since(longest(own).since) >= age {
			cs.evict(longest(own))
			n++
		}
	}
	return n
}

func longest(own *list.List) *conn { return own.Front().Value.(*conn) }

// Callers hold cs.mu.
func (cs *Connections) evictionCandidate() (c *conn) {
	most := 0
	for network, own := range cs.waiting {
		n := own.Len()
		if network == "" {
			n = 0 // A proxy has many clients.
		}
		if c == nil || n > most || n == most && longest(own).since.Before(c.since) {
			c, most = longest(own), n
		}
	}
	return c
}

// Listener returns l with the limits.
func (cs *Connections) Listener(l net.Listener) net.Listener { return &listener{l, cs} }

type listener struct {
	net.Listener
	of *Connections
}

func (l *listener) Accept() (net.Conn, error) {
	raw, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.of.admit(raw)
}

func (l *listener) Close() error {
	l.of.mu.Lock()
	l.of.closed = true
	l.of.mu.Unlock()
	l.of.wake()
	return l.Listener.Close()
}

func (cs *Connections) admit(raw net.Conn) (net.Conn, error) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(writeBuffer)
	}
	c := &conn{Conn: raw, of: cs}
	if peer, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil {
		if addr := peer.Addr().Unmap(); !cs.proxy(addr) {
			c.network = ratelimit.Network(addr.String())
		}
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for cs.open >= cs.max {
		if cs.closed {
			_ = raw.Close()
			return nil, net.ErrClosed
		}
		if c := cs.evictionCandidate(); c != nil {
			age := time.Since(c.since)
			if age >= evictGrace {
				cs.evict(c)
				continue
			}
			time.AfterFunc(evictGrace-age, cs.wake)
		}
		cs.changes.Wait()
	}
	cs.open++
	cs.wait(c)
	return c, nil
}

func (cs *Connections) wake() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.changes.Broadcast()
}

// conn's fields below network are guarded by the mutex of its Connections.
type conn struct {
	net.Conn
	of      *Connections
	network string

	// place is in Connections.waiting; nil while a request is in progress.
	place *list.Element
	since time.Time
	gone  bool
}

// wait returns false if c waits already. Callers hold cs.mu.
func (cs *Connections) wait(c *conn) bool {
	if c.gone || c.place != nil {
		return false
	}
	own := cs.waiting[c.network]
	if own == nil {
		own = list.New()
		cs.waiting[c.network] = own
	}
	c.since = time.Now()
	c.place = own.PushBack(c)
	cs.changes.Signal()
	return true
}

// Callers hold cs.mu.
func (cs *Connections) work(c *conn) {
	if c.place == nil {
		return
	}
	own := cs.waiting[c.network]
	own.Remove(c.place)
	c.place = nil
	if own.Len() == 0 {
		delete(cs.waiting, c.network)
	}
}

// Callers hold cs.mu.
func (cs *Connections) end(c *conn) {
	if c.gone {
		return
	}
	cs.work(c)
	c.gone = true
	cs.open--
	cs.changes.Signal()
}

// The server notices at its next read or write. Callers hold cs.mu.
func (cs *Connections) evict(c *conn) {
	cs.end(c)
	cs.cut++
	_ = c.Conn.Close()
}

// changed is http.Server.ConnState. Active is from the end of a request header.
func (cs *Connections) changed(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		cs.wait(c)
	case http.StateActive:
		cs.work(c)
	case http.StateHijacked, http.StateClosed:
		cs.end(c)
	}
}

func (c *conn) waits() bool {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.of.wait(c)
}

func (c *conn) works() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.of.work(c)
}

func (c *conn) Write(b []byte) (int, error) {
	if c.waits() {
		defer c.works()
	}
	return c.Conn.Write(b)
}

func (c *conn) Close() error {
	c.of.mu.Lock()
	c.of.end(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

type connKey struct{}

// remember is http.Server.ConnContext.
func (cs *Connections) remember(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}

// NewServer returns a server with time limits for slow clients, for connections.Listener.
// A header has 5 seconds, a body the time of its route or 15 seconds, the whole answer 30
// seconds: a request's limit, a database read begun just before it, and sending.
func NewServer(h http.Handler, connections *Connections, logger *slog.Logger) *http.Server {
	return &http.Server{
		ConnState:         connections.changed,
		ConnContext:       connections.remember,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
