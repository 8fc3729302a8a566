package middleware_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/cmd/host/internal/middleware"
)

// pipes is a listener in memory, for synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

type pipeEnd struct {
	net.Conn
	peer net.Addr
}

func (e pipeEnd) RemoteAddr() net.Addr { return e.peer }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(t *testing.T, address string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	peer, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(address, "4711"))
	require.NoError(t, err)
	p.conns <- pipeEnd{server, peer}
	synctest.Wait()
	return client
}

// bounded runs a server in a synctest bubble.
func bounded(t *testing.T, opts middleware.ConnectionOptions, h http.HandlerFunc,
	test func(*testing.T, *pipes, *middleware.Connections)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		if opts.ClientIP == nil {
			opts.ClientIP = middleware.NewClientIP(0, nil)
		}
		logger := slog.New(slog.DiscardHandler)
		wrapped, err := middleware.Handler(h, middleware.Options{Logger: logger, ClientIP: opts.ClientIP})
		require.NoError(t, err)
		connections := middleware.NewConnections(opts)
		server := middleware.NewServer(wrapped, connections, logger)
		network := &pipes{make(chan net.Conn), make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(connections.Listener(network)) }()
		defer func() {
			require.NoError(t, server.Close())
			require.ErrorIs(t, <-served, http.ErrServerClosed)
			// The server gives a refused client the time to read that.
			time.Sleep(time.Second)
			require.Zero(t, connections.Stats().Open, "each place was given back")
			require.Zero(t, connections.Stats().Waiting)
		}()
		test(t, network, connections)
	})
}

func ok(http.ResponseWriter, *http.Request) {}

func get(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.NoError(t, res.Body.Close())
	synctest.Wait()
}

func isCut(t *testing.T, c net.Conn) bool {
	t.Helper()
	if c.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return true // A pipe says so at once.
	}
	_, err := c.Read(make([]byte, 1))
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	return err == io.EOF
}

func TestConnections_EvictsLongestWaiting(t *testing.T) {
	bounded(t, middleware.ConnectionOptions{Max: 4}, ok,
		func(t *testing.T, n *pipes, connections *middleware.Connections) {
			var slow []net.Conn
			for range 4 {
				slow = append(slow, n.dial(t, "192.0.2.1"))
				time.Sleep(10 * time.Millisecond)
			}
			// A byte now and then does not make it younger.
			_, err := io.WriteString(slow[0], "G")
			require.NoError(t, err)
			genuine := n.dial(t, "198.51.100.1")
			get(t, genuine)
			require.True(t, isCut(t, slow[0]))
			for _, c := range slow[1:] {
				require.False(t, isCut(t, c))
			}
			require.Equal(t, middleware.ConnectionStats{Open: 4, Waiting: 4, Cut: 1}, connections.Stats())
		})
}

// A new connection waits until a request ends.
func TestConnections_NeverEvictsRequestsInProgress(t *testing.T) {
	release := make(chan struct{})
	bounded(t, middleware.ConnectionOptions{Max: 2}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/work" {
			<-release
		}
	}, func(t *testing.T, n *pipes, connections *middleware.Connections) {
		release = make(chan struct{})
		var working []net.Conn
		for range 2 {
			c := n.dial(t, "192.0.2.1")
			_, err := io.WriteString(c, "GET /work HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			working = append(working, c)
		}
		synctest.Wait()
		third := n.dial(t, "198.51.100.1")
		require.Equal(t, middleware.ConnectionStats{Open: 2}, connections.Stats())
		answered := make(chan struct{})
		go func() { defer close(answered); get(t, third) }()
		synctest.Wait()
		select {
		case <-answered:
			t.Fatal("there was no place")
		default:
		}
		close(release)
		for _, c := range working[:1] {
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err, "work is not cut")
			require.Equal(t, http.StatusOK, res.StatusCode)
		}
		<-answered
	})
}

// Connections of one network, of IPv6 too, replace each other.
func TestConnections_EvictsFromLargestNetwork(t *testing.T) {
	bounded(t, middleware.ConnectionOptions{Max: 5, ClientIP: middleware.NewClientIP(1, nil)}, ok,
		func(t *testing.T, n *pipes, connections *middleware.Connections) {
			proxy := []net.Conn{n.dial(t, "10.0.0.1"), n.dial(t, "10.0.0.1")}
			time.Sleep(time.Second)
			other := n.dial(t, "198.51.100.1")
			time.Sleep(time.Second)
			slow := []net.Conn{n.dial(t, "2001:db8:1:2::1"), n.dial(t, "2001:db8:1:2:ffff::9")}
			for range 10 {
				time.Sleep(100 * time.Millisecond)
				slow = append(slow, n.dial(t, "2001:db8:1:2::1"))
			}
			for i, c := range slow {
				require.Equal(t, i < 10, isCut(t, c), i)
			}
			get(t, other)
			get(t, proxy[0])
			get(t, proxy[1])
			get(t, slow[11])
		})
}

func TestConnections_EvictsProxiesLast(t *testing.T) {
	bounded(t, middleware.ConnectionOptions{Max: 2, ClientIP: middleware.NewClientIP(1, nil)}, ok,
		func(t *testing.T, n *pipes, connections *middleware.Connections) {
			var all []net.Conn
			for range 3 {
				all = append(all, n.dial(t, "10.0.0.1"))
				time.Sleep(time.Second)
			}
			require.True(t, isCut(t, all[0]))
			get(t, all[1])
			get(t, all[2])
		})
}

// A slow body and an unread answer are waits for the client; a running handler is not.
func TestConnections_WaitingForClient(t *testing.T) {
	working := make(chan struct{})
	bounded(t, middleware.ConnectionOptions{}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && string(body) == "work" {
			<-working
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	}, func(t *testing.T, n *pipes, connections *middleware.Connections) {
		working = make(chan struct{})
		waiting := func() int { synctest.Wait(); return connections.Stats().Waiting }
		c := n.dial(t, "192.0.2.1")
		require.Equal(t, 1, waiting(), "for a head")
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
		require.NoError(t, err)
		require.Equal(t, 1, waiting(), "for a body")
		_, err = io.WriteString(c, "wor")
		require.NoError(t, err)
		require.Equal(t, 1, waiting(), "for its end")
		_, err = io.WriteString(c, "k")
		require.NoError(t, err)
		require.Equal(t, 0, waiting(), "it is at work")
		close(working)
		require.Equal(t, 1, waiting(), "the answer is not read")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.Equal(t, 1, waiting(), "for another request")

		_, err = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nw")
		require.NoError(t, err)
		require.Equal(t, 1, waiting())
		time.Sleep(time.Second)
		require.Equal(t, 0, connections.CutWaiting(2*time.Second), "it has waited for a second")
		require.Equal(t, 1, connections.CutWaiting(time.Second))
		require.True(t, isCut(t, c))
	})
}
