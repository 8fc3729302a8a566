// Package hostprocess runs the host as a separate process, for programs that measure it.
package hostprocess

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// Build compiles the host into a folder, with the go command, and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	program := filepath.Join(dir, "host")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program,
		"github.com/booking-platform/booking-platform/cmd/host").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the host: %w\n%s", err, tail(out))
	}
	return program, nil
}

// Process is a running host. Address is such as 127.0.0.1:3000, Log a file.
type Process struct {
	Address, Log string
	cmd          *exec.Cmd
}

// Start waits until the host serves. dir is for its log and data. Its environment is
// PORT=0, METRICS_ADDR=off and environment, which may override both. The end of ctx stops
// it.
func Start(ctx context.Context, program, dir string, environment ...string) (*Process, error) {
	p := &Process{cmd: exec.CommandContext(ctx, program, "serve"), Log: filepath.Join(dir, "host.log")}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"PORT=0", "METRICS_ADDR=off", "DATA_DIR=" + filepath.Join(dir, "data")}, environment...)
	log, err := os.Create(p.Log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	p.cmd.Stderr = log
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, rest, found := strings.Cut(line, "http://")
	if p.Address, _, _ = strings.Cut(rest, " "); err != nil || !found {
		said, _ := os.ReadFile(p.Log)
		return nil, errors.Join(fmt.Errorf("the host does not start: %w\n%s", err, tail(said)), p.Stop())
	}
	return p, nil
}

// Stop asks the host to stop, and waits for its end.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return p.cmd.Wait()
}

var resident = regexp.MustCompile(`Vm(HWM|RSS):\s+(\d+) kB`)

// Memory returns the resident memory now and at its peak, in MB; 0 without /proc.
func (p *Process) Memory() (now, peak float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for _, match := range resident.FindAllStringSubmatch(string(text), -1) {
		kb, _ := strconv.ParseFloat(match[2], 64)
		if match[1] == "HWM" {
			peak = kb / 1024
		} else {
			now = kb / 1024
		}
	}
	return now, peak
}

// PID is the host's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func tail(said []byte) []byte { return said[max(0, len(said)-2000):] }
