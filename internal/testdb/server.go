package testdb

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// server is the Postgres of this test binary.
type server struct {
	url      string
	admin    *sql.DB
	template func() (string, error)
	end      func() error
}

var (
	mu      sync.Mutex
	started bool
	current *server
	failure error
)

// shared starts the server when the first test asks, and gives everyone the same answer.
func shared() (*server, error) {
	mu.Lock()
	defer mu.Unlock()
	if !started {
		started = true
		current, failure = start()
	}
	return current, failure
}

func stop() error {
	mu.Lock()
	defer mu.Unlock()
	if current == nil {
		return nil
	}
	_ = current.admin.Close()
	return current.end()
}

func start() (*server, error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		return nil, fmt.Errorf("no programs")
	}
	bin := bins[len(bins)-1]
	dir, err := os.MkdirTemp("", "booking-testdb-")
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, 101, 104); err != nil {
			return nil, err
		}
		attr.Credential = &syscall.Credential{Uid: 101, Gid: 104}
	}
	data := filepath.Join(dir, "data")
	cmd := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "--no-sync", "-A", "trust", "-U", "booking", "--encoding=UTF8", "--locale=C")
	cmd.SysProcAttr = attr
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	cmd = exec.Command("setpriv", "--pdeathsig", "QUIT", filepath.Join(bin, "postgres"), "-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "timezone=UTC")
	cmd.SysProcAttr = attr
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{url: "postgres://booking@127.0.0.1:" + port + "/postgres?sslmode=disable"}
	s.template = sync.OnceValues(s.makeTemplate)
	s.end = func() error {
		_ = cmd.Process.Signal(syscall.SIGINT)
		_ = cmd.Wait()
		return os.RemoveAll(dir)
	}
	s.admin, err = sql.Open("postgres", s.url)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = s.admin.Ping(); err == nil {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}
