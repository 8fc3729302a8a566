package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

const attackEnv = "LOAD_ATTACK"

// attack is the configuration of the hostile clients: slow connections, the number of
// their addresses, and forged deliveries a second.
type attack struct {
	Address                 string
	Slow, Addresses, Forged int
}

// attackResult has the slow connections open at the end, how often one was closed by the
// host, and the forged deliveries by status.
type attackResult struct {
	Open, Cut int64
	Refused   map[int]int64
}

// attackers is the process of the hostile clients. It runs at the lowest priority:
// sending takes more CPU than the host needs to refuse it, and would distort the
// measurement.
type attackers struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// startAttackers returns when all slow clients are connected, or as many as can be.
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
