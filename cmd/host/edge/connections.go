package edge

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// ConnectionOptions tune [NewConnections]; the zero value works.
type ConnectionOptions struct {
	// Max is how many connections there are at once; 0 is 4096. It is less where the system allows the process fewer files.
	Max int
	// PerNetwork is how many connections of one network (an IPv4 address, the /64 of an IPv6 one) may wait for their client; 0 is 128, and a
	// negative number is no limit.
	PerNetwork int
	// ClientIP knows the proxies, behind which many clients share an address: theirs are not limited by network. nil knows of none.
	ClientIP *ClientIP
}

const (
	// patience is how long a connection may wait for its client, however many others of its network do. A burst of genuine clients is served
	// within it.
	patience = time.Second
	// blink is how long it may in any case: an answer that is on its way is not cut off.
	blink = 100 * time.Millisecond
)

// Connections bounds the connections of a server in a way that slow clients cannot turn into an outage: what counts against a network is only
// connections that wait for their client (for a request, the rest of one, or for room to answer), not those that are at work; and where one too
// many waits, or all places are taken, the one that has waited longest is cut, rather than the newcomer refused. Only while every place is at work
// does a newcomer wait, in the system's queue, until one of them is done.
//
// It belongs to one server, see [NewServer], and is safe for concurrent use.
type Connections struct {
	max, perNetwork int
	proxy           func(netip.Addr) bool

	mu   sync.Mutex
	room *sync.Cond
	open int
	cut  int64
	// waiting has those that wait for their client, the one that has waited longest first; networks has the same by network.
	waiting  list.List
	networks map[string]*list.List
	closed   bool
}

// ConnectionStats are the connections of a process. Cut counts, since its start, those that were cut to make room for others.
type ConnectionStats struct {
	Open, Waiting int
	Cut           int64
}

// NewConnections makes the limits of one server.
func NewConnections(opts ConnectionOptions) *Connections {
	if opts.Max <= 0 {
		opts.Max = 4096
	}
	if opts.PerNetwork == 0 {
		opts.PerNetwork = 128
	}
	cs := &Connections{
		max: max(1, min(opts.Max, spareFiles())), perNetwork: opts.PerNetwork, networks: map[string]*list.List{},
		proxy: func(netip.Addr) bool { return false },
	}
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
	return ConnectionStats{Open: cs.open, Waiting: cs.waiting.Len(), Cut: cs.cut}
}

// CutWaiting cuts the connections that have waited for their client for so long, and returns how many there were. A shutdown calls it: nothing is
// owed to a request that has not arrived.
func (cs *Connections) CutWaiting(age time.Duration) (n int) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for e := cs.waiting.Front(); e != nil && time.Since(e.Value.(*conn).since) >= age; e = cs.waiting.Front() {
		cs.cutOff(e.Value.(*conn))
		n++
	}
	return n
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
	c := &conn{Conn: raw, of: cs}
	if peer, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil && cs.perNetwork > 0 {
		if addr := peer.Addr().Unmap(); !cs.proxy(addr) {
			c.network = network(addr.String())
		}
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for cs.open >= cs.max {
		if cs.closed {
			_ = raw.Close()
			return nil, net.ErrClosed
		}
		if longest := cs.waiting.Front(); longest != nil {
			c := longest.Value.(*conn)
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

// conn is a connection and whether it waits for its client. What is below Conn is guarded by the mutex of its Connections.
type conn struct {
	net.Conn
	of      *Connections
	network string

	since       time.Time
	inAll, inIt *list.Element
	gone        bool
}

// wait notes that c waits for its client; false when it did already. The mutex is held.
func (cs *Connections) wait(c *conn) bool {
	if c.gone || c.inAll != nil {
		return false
	}
	c.since = time.Now()
	c.inAll = cs.waiting.PushBack(c)
	// Who waits can be cut to make room.
	cs.room.Signal()
	if c.network == "" {
		return true
	}
	own := cs.networks[c.network]
	if own == nil {
		own = list.New()
		cs.networks[c.network] = own
	}
	c.inIt = own.PushBack(c)
	for own.Len() > cs.perNetwork {
		longest := own.Front().Value.(*conn)
		if c.since.Sub(longest.since) < patience {
			break
		}
		cs.cutOff(longest)
	}
	return true
}

// work notes that c waits no more. The mutex is held.
func (cs *Connections) work(c *conn) {
	if c.inAll == nil {
		return
	}
	cs.waiting.Remove(c.inAll)
	c.inAll = nil
	if c.inIt == nil {
		return
	}
	own := cs.networks[c.network]
	own.Remove(c.inIt)
	c.inIt = nil
	if own.Len() == 0 {
		delete(cs.networks, c.network)
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

// cutOff ends c for others' sake. The server finds that out at its next read or write. The mutex is held.
func (cs *Connections) cutOff(c *conn) {
	cs.end(c)
	cs.cut++
	_ = c.Conn.Close()
}

// changed is the server's ConnState. A connection is active from the end of a request's head on.
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
