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

// attackEnv tells a process of this program that it is the attackers, and what they do.
const attackEnv = "LOAD_ATTACK"

// attack is what the attackers do: slow connections, from how many addresses, and forged
// deliveries a second, to where.
type attack struct {
	Address                 string
	Slow, Addresses, Forged int
}

// came is what came of it: the slow connections that are open at the end, how often one
// was cut, and the forged deliveries by the status they got.
type came struct {
	Open, Cut int64
	Refused   map[int]int64
}

// attackers are a process of their own, which has what the host, the database and the
// genuine clients leave of the machine: theirs is elsewhere, as a rule. By itself it
// would take more of the processors to send than the host takes to bear it.
type attackers struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// startAttackers returns when all are there, or as many as there can be.
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
		return nil, errors.Join(fmt.Errorf("the attackers do not begin: %w", err), p.cmd.Wait())
	}
	return p, nil
}

// stop ends them, and returns what came of them.
func (p *attackers) stop() (c came, err error) {
	_ = p.in.Close()
	err = json.NewDecoder(p.out).Decode(&c)
	return c, errors.Join(err, p.cmd.Wait())
}

// run is the process of the attackers: until its standard input ends.
func (a attack) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var everybody sync.WaitGroup
	var open, cut atomic.Int64
	var arriving sync.WaitGroup
	arriving.Add(a.Slow)
	for i := range a.Slow {
		everybody.Go(func() {
			slow{a.Address, fromAddress(i % a.Addresses), &open, &cut, sync.OnceFunc(arriving.Done)}.run(ctx, i)
		})
	}
	all := make(chan struct{})
	go func() { arriving.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(5 * time.Second): // There may be no place for some.
	case <-ctx.Done():
	}
	answered := &[600]atomic.Int64{}
	turns := make(chan time.Time)
	for i := range 20 {
		everybody.Go(func() { forger{a.Address, net.IPv4(127, 0, 0, 2), i%2 == 0, answered}.run(ctx, turns) })
	}
	everybody.Go(func() { pace(ctx, a.Forged, turns) })
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)

	c := came{Open: open.Load(), Refused: map[int]int64{}}
	stop()
	everybody.Wait()
	c.Cut = cut.Load() - c.Open
	for status := range answered {
		if n := answered[status].Load(); n > 0 {
			c.Refused[status] = n
		}
	}
	return json.NewEncoder(os.Stdout).Encode(c)
}

// pace hands out so many turns a second, those that are overdue included.
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
