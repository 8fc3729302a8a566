package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// host is the host itself, a process of its own, as it is started by hand: its routes, its edge, its access log, its pool.
type host struct {
	cmd     *exec.Cmd
	address string
}

// buildHost makes the program; go run, which runs this one, has the compiler at hand.
func (b *bench) buildHost(ctx context.Context) (string, error) {
	program := filepath.Join(b.dir, "host")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/booking-platform/booking-platform/cmd/host").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the host: %w\n%s", err, tail(out))
	}
	return program, nil
}

// startHost starts the host on a database, with more in its environment, and waits until it serves.
func (b *bench) startHost(ctx context.Context, program, databaseURL string, environment ...string) (*host, error) {
	h := &host{cmd: exec.CommandContext(ctx, program, "serve")}
	h.cmd.Cancel = func() error { return h.cmd.Process.Signal(syscall.SIGTERM) }
	h.cmd.Env = append(os.Environ(),
		"APP_ENV=development", "PORT=0", "METRICS_ADDR=off", "BIND_ADDRESS=127.0.0.1", "APP_URL=", "DATABASE_URL="+databaseURL, "DATABASE_PREPARE=true", "STORAGE_DRIVER=db",
		"DATA_DIR="+filepath.Join(b.dir, "data"), "STRIPE_SECRET_KEY=", "HOLDS_PER_EMAIL=0", "HOLDS_PER_ADDRESS=0",
	)
	h.cmd.Env = append(h.cmd.Env, environment...)
	// It writes its log as it does elsewhere, to a file.
	log, err := os.Create(filepath.Join(b.dir, "host.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	h.cmd.Stderr = log
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, rest, found := strings.Cut(line, "http://")
	if h.address, _, _ = strings.Cut(rest, " "); err != nil || !found {
		said, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("the host does not start: %w\n%s", err, tail(said)), h.stop())
	}
	return h, nil
}

func (h *host) stop() error {
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	return h.cmd.Wait()
}
