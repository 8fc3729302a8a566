package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/booking-platform/booking-platform/payments/stripetest"
)

const attackEnv = "LOAD_ATTACK"

// attack has the number of slow connections and of their addresses, and the forged
// deliveries a second.
type attack struct {
	Address                 string
	Slow, Addresses, Forged int
}

// attackResult has the slow connections open at the end, how many the host closed, and
// the forged deliveries by status.
type attackResult struct {
	Open, Cut int64
	Refused   map[int]int64
}

// attackers is a process of the lowest priority: sending takes more CPU than refusing,
// and would distort the measurement.
type attackers struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// startAttackers waits for the slow clients that can be connected.
func startAttackers(ctx context.Context, a attack) (*attackers, error) {
	what, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &attackers{cmd: exec.CommandContext(ctx, "nice", "-n", "19", self)}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), attackEnv+"="+string(what)), os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if _, err := p.out.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the hostile clients do not start: %w", err), p.cmd.Wait())
	}
	return p, nil
}

func (p *attackers) stop() (c attackResult, err error) {
	_ = p.in.Close()
	err = json.NewDecoder(p.out).Decode(&c)
	return c, errors.Join(err, p.cmd.Wait())
}

// run attacks until standard input ends.
func (a attack) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	var open, cut atomic.Int64
	var arriving sync.WaitGroup
	arriving.Add(a.Slow)
	for i := range a.Slow {
		clients.Go(func() {
			slowClient{a.Address, fromAddress(i % a.Addresses), &open, &cut, sync.OnceFunc(arriving.Done)}.run(ctx, i)
		})
	}
	all := make(chan struct{})
	go func() { arriving.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(5 * time.Second): // The host may not accept all of them.
	case <-ctx.Done():
	}
	answered := &[600]atomic.Int64{}
	turns := make(chan time.Time)
	for i := range 20 {
		clients.Go(func() { forger{a.Address, net.IPv4(127, 0, 0, 2), i%2 == 0, answered}.run(ctx, turns) })
	}
	clients.Go(func() { pace(ctx, a.Forged, turns) })
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)

	c := attackResult{Open: open.Load(), Refused: map[int]int64{}}
	stop()
	clients.Wait()
	c.Cut = cut.Load() - c.Open
	for status := range answered {
		if n := answered[status].Load(); n > 0 {
			c.Refused[status] = n
		}
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// pace sends rate turns a second, including overdue ones.
func pace(ctx context.Context, rate int, turns chan<- time.Time) {
	began, given := time.Now(), 0
	for rate > 0 {
		for due := int(time.Since(began).Seconds() * float64(rate)); given < due; given++ {
			select {
			case turns <- time.Now():
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// slowClient reconnects when it is closed.
type slowClient struct {
	address string
	from    net.IP
	// open counts open connections, cut closed ones.
	open, cut *atomic.Int64
	// connected is called after the first connection.
	connected func()
}

// Linux accepts all of 127.0.0.0/8.
func fromAddress(n int) net.IP { return net.IPv4(127, 1, byte(n/250), byte(n%250+1)) }

func dialFrom(ctx context.Context, from net.IP, address string) (*net.TCPConn, error) {
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}, Timeout: 10 * time.Second}).DialContext(ctx, "tcp",
		address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// run is slow in one of three ways.
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

// drip sends a request's beginning and then a byte a second.
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

// stuff reads no answers, so that all buffers stay full.
func stuff(c *net.TCPConn) {
	_ = c.SetReadBuffer(4096)
	for {
		if _, err := io.WriteString(c, "GET /static/style.css HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return
		}
	}
}

func post(c net.Conn, body, signed string) (status int, answer string, err error) {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	_, err = io.WriteString(c,
		"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nStripe-Signature: "+signed+
			"\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n\r\n"+body)
	if err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// padding makes an event as large as one of Stripe's.
var padding = strings.Repeat("x", 4000)

func event(id, session string) string {
	return fmt.Sprintf(`{"id":%q,"object":"event","type":"checkout.session.completed","api_version":"2023-10-16",
"created":%d,"livemode":false,"data":{"object":{"id":%q,"object":"checkout.session","payment_status":"paid",
"amount_total":2500,"currency":"eur","payment_intent":"pi_%s","padding":%q}}}`,
		id, time.Now().Unix(), session, id, padding)
}

// forger sends a wrong signature per turn, from one address. keep reuses the connection.
type forger struct {
	address  string
	from     net.IP
	keep     bool
	answered *[600]atomic.Int64
}

func (f forger) run(ctx context.Context, turn <-chan time.Time) {
	var c net.Conn
	defer func() {
		if c != nil {
			_ = c.Close()
		}
	}()
	body := event("evt_forged", "cs_forged")
	for {
		select {
		case <-ctx.Done():
			return
		case <-turn:
		}
		if c == nil {
			fresh, err := dialFrom(ctx, f.from, f.address)
			if err != nil {
				f.answered[0].Add(1)
				continue
			}
			c = fresh
		}
		status, _, err := post(c, body, stripetest.Sign([]byte(body), "whsec_guess", time.Now()))
		if err != nil {
			status = 0
		}
		f.answered[status].Add(1)
		if err != nil || !f.keep {
			_ = c.Close()
			c = nil
		}
	}
}
