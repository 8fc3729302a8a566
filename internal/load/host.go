package main

import (
	"bufio"
	"bytes"
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

const hookSecret = "whsec_load_0123456789abcdef"

// host is the host itself, a process of its own, as it is started by hand.
type host struct {
	cmd     *exec.Cmd
	address string
	log     string
}

// startHost builds the host, starts it on a database, and waits until it serves.
func startHost(ctx context.Context, dir, databaseURL string) (*host, error) {
	program := filepath.Join(dir, "host")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/booking-platform/booking-platform/cmd/host").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the host: %w\n%s", err, out)
	}
	h := &host{cmd: exec.CommandContext(ctx, program, "serve"), log: filepath.Join(dir, "host.log")}
	h.cmd.Cancel = func() error { return h.cmd.Process.Signal(syscall.SIGTERM) }
	h.cmd.Dir = dir
	h.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PORT=0", "DATABASE_URL=" + databaseURL, "DATA_DIR=" + filepath.Join(dir, "data"),
		"STRIPE_WEBHOOK_SECRET=" + hookSecret, "HOLDS_PER_EMAIL=0", "HOLDS_PER_ADDRESS=0",
	}
	log, err := os.Create(h.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	h.cmd.Stderr = log
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, rest, found := strings.Cut(line, "http://")
	if h.address, _, _ = strings.Cut(rest, " "); err != nil || !found {
		said, _ := os.ReadFile(h.log)
		return nil, errors.Join(fmt.Errorf("the host does not start: %w\n%s", err, said), h.stop())
	}
	return h, nil
}

func (h *host) stop() error {
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	return h.cmd.Wait()
}

// lines counts the lines of the log that have a text in them.
func (h *host) lines(text string) int {
	all, _ := os.ReadFile(h.log)
	n := 0
	for line := range bytes.Lines(all) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

var resident = regexp.MustCompile(`Vm(HWM|RSS):\s+(\d+) kB`)

// memory is what the process has of the machine's, and the most it had, in MB; 0 where the system does not tell.
func (h *host) memory() (now, peak float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.cmd.Process.Pid))
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
