package main

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// slowClient reconnects whenever the host closes its connection.
type slowClient struct {
	address string
	from    net.IP
	// open is the number of open connections; cut counts the closed ones.
	open, cut *atomic.Int64
	// connected is called after the first connection.
	connected func()
}

// fromAddress returns the nth loopback address; Linux accepts all of 127.0.0.0/8.
func fromAddress(n int) net.IP { return net.IPv4(127, 1, byte(n/250), byte(n%250+1)) }

func dialFrom(ctx context.Context, from net.IP, address string) (*net.TCPConn, error) {
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 10 * time.Second}).DialContext(ctx, "tcp",
		address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// run keeps one connection slow, in one of three ways, until the context ends.
func (s slowClient) run(ctx context.Context, way int) {
	for ctx.Err() == nil {
		if c, err := dialFrom(ctx, s.from, s.address); err == nil {
			s.open.Add(1)
			s.connected()
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			switch way % 3 {
			case 0:
				drip(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
			case 1:
				drip(c,
					"POST /webhook HTTP/1.1\r\nHost: x\r\nStripe-Signature: t=1,v1=00\r\nContent-Length: 4000\r\n\r\n{")
			case 2:
				stuff(c)
			}
			stop()
			_ = c.Close()
			s.open.Add(-1)
			s.cut.Add(1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)):
		}
	}
}

// drip sends the beginning of a request and then a byte a second.
func drip(c net.Conn, beginning string) {
	_, err := io.WriteString(c, beginning)
	for err == nil {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 512)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		_, err = io.WriteString(c, "x")
	}
}

// stuff sends requests and reads no answers, so that all buffers stay full.
func stuff(c *net.TCPConn) {
	_ = c.SetReadBuffer(4096)
	for {
		if _, err := io.WriteString(c, "GET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return
		}
	}
}
