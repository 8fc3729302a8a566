package middleware

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/booking-platform/booking-platform/internal/ratelimit"
)

// ConnectionOptions tune [NewConnections]; the zero value works.
type ConnectionOptions struct {
	// Max is how many connections there are at once; 0 is 4096. It is less where the
	// system allows the process fewer files.
	Max int
	// ClientIP knows the proxies, behind which many clients share an address; nil knows
	// of none.
	ClientIP *ClientIP
}

const (
	// blink is how long a connection may wait for its client in any case: an answer that
	// is on its way is not cut off.
	blink = 100 * time.Millisecond
	// writeBuffer is what the system keeps of an answer that is not read. By itself it
	// would keep megabytes for each connection.
	writeBuffer = 64 << 10
)

// Connections bounds the connections of a server in a way that slow clients cannot turn
// into an outage. While there is room nobody is cut: whoever is cut comes again, and
// costs more than one who waits. Where every place is taken, a newcomer gets the place of
// one that waits for its client (for a request, the rest of one, or for room to answer):
// of the network that has the most of these (an IPv4 address, the /64 of an IPv6 one),
// the one that has waited longest. So many from one address take places from each other,
// and those at work are never cut. Only while all are at work does a newcomer wait, in
// the system's queue, until one of them is done.
//
// It belongs to one server, see [NewServer], and is safe for concurrent use.
type Connections struct {
	max   int
	proxy func(netip.Addr) bool

	mu   sync.Mutex
	room *sync.Cond
	open int
	cut  int64
	// waiting has those that wait for their client, by network, the one that has waited
	// longest first. The proxies' are under "".
	waiting map[string]*list.List
	closed  bool
}

// ConnectionStats are the connections of a process: those that are open, those of them
// that wait for their client, and those that were cut, since its start, to make room for
// others.
type ConnectionStats struct {
	Open, Waiting int
	Cut           int64
}

// NewConnections makes the limits of one server.
func NewConnections(opts ConnectionOptions) *Connections {
	if opts.Max <= 0 {
		opts.Max = 4096
	}
	cs := &Connections{max: max(1, min(opts.Max, spareFiles())), waiting: map[string]*list.List{},
		proxy: func(netip.Addr) bool { return false }}
	if opts.ClientIP != nil {
		cs.proxy = opts.ClientIP.trusted
	}
	cs.room = sync.NewCond(&cs.mu)
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

// CutWaiting cuts the connections that have waited for their client for so long, and
// returns how many there were. A shutdown calls it: nothing is owed to a request that has
// not arrived.
func (cs *Connections) CutWaiting(age time.Duration) (n int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, own := range cs.waiting {
		for own.Len() > 0 && time.Since(longest(own).since) >= age {
			cs.cutOff(longest(own))
			n++
		}
	}
	return n
}

// longest is the one that has waited longest.
func longest(own *list.List) *conn { return own.Front().Value.(*conn) }

// least is whose place a newcomer gets, or nil. The mutex is held.
func (cs *Connections) least() (c *conn) {
	most := 0
	for network, own := range cs.waiting {
		n := own.Len()
		if network == "" {
			n = 0 // A proxy has the clients of many.
		}
		if c == nil || n > most || n == most && longest(own).since.Before(c.since) {
			c, most = longest(own), n
		}
	}
	return c
}

// Listener returns l with the limits. Closing it wakes who waits for room.
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
	l.of.look()
	return l.Listener.Close()
}

// admit finds a place for a connection.
func (cs *Connections) admit(raw net.Conn) (net.Conn, error) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		// A connection that refuses it has gone.
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
		if c := cs.least(); c != nil {
			age := time.Since(c.since)
			if age >= blink {
				cs.cutOff(c)
				continue
			}
			time.AfterFunc(blink-age, cs.look)
		}
		cs.room.Wait()
	}
	cs.open++
	cs.wait(c)
	return c, nil
}

// look has who waits for room look again.
func (cs *Connections) look() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.room.Broadcast()
}

// conn is a connection and whether it waits for its client. What is below network is
// guarded by the mutex of its Connections.
type conn struct {
	net.Conn
	of      *Connections
	network string

	// place is where it stands among those that wait, and since when; nil while it is at
	// work.
	place *list.Element
	since time.Time
	gone  bool
}

// wait notes that c waits for its client; false when it did already. The mutex is held.
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
	// Who waits can be cut to make room.
	cs.room.Signal()
	return true
}

// work notes that c waits no more. The mutex is held.
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

// end gives the place of c back. The mutex is held.
func (cs *Connections) end(c *conn) {
	if c.gone {
		return
	}
	cs.work(c)
	c.gone = true
	cs.open--
	cs.room.Signal()
}

// cutOff ends c for others' sake. The server finds that out at its next read or write.
// The mutex is held.
func (cs *Connections) cutOff(c *conn) {
	cs.end(c)
	cs.cut++
	_ = c.Conn.Close()
}

// changed is the server's ConnState. A connection is active from the end of a request's
// head on.
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

// Write waits for a client that does not read.
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

// remember hands the connection to its requests; it is the server's ConnContext.
func (cs *Connections) remember(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, nc)
}
