package embedded

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"time"
)

// process is a running Postgres.
type process struct {
	cmd      *exec.Cmd
	programs string
	// done is closed when it has ended, with err set.
	done chan struct{}
	err  error
	// log is where it writes, and begun where in that file it began.
	log   string
	begun int64
}

// launch starts Postgres, writing to the log of the folder.
func launch(cmd *exec.Cmd, dir, programs string) (*process, error) {
	log, err := openLog(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	begun, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, programs: programs, done: make(chan struct{}), log: log.Name(), begun: begun}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// said is what it has written since it began.
func (p *process) said() []byte {
	text, err := os.ReadFile(p.log)
	if err != nil || int64(len(text)) < p.begun {
		return nil
	}
	return bytes.TrimSpace(text[p.begun:])
}

// stop ends it: transactions are rolled back and everything is written out, unless that
// takes too long or nobody needs it.
func (p *process) stop(hurry bool) {
	if !hurry && p.signal(fast, fastTimeout) {
		return
	}
	if p.signal(immediate, immediateTimeout) {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// signal tells whether it ended in time.
func (p *process) signal(how shutdown, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.send(ctx, how)
	select {
	case <-p.done:
		return true
	case <-ctx.Done():
		return false
	}
}
