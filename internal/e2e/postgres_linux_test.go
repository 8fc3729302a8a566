//go:build programs

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// postgres is a server of this machine's programs to be killed, stopped and promoted.
// Nothing restarts it.
type postgres struct {
	t    *testing.T
	dir  string
	port int
	in   io.Closer
	done chan struct{}
}

func newPostgres(t *testing.T) *postgres {
	t.Helper()
	return newPostgresIn(t, serverFolder(t))
}

func newPostgresIn(t *testing.T, dir string) *postgres {
	t.Helper()
	p := &postgres{t: t, dir: dir, port: freePort(t)}
	p.program("initdb", "-D", p.data(), "--no-sync", "--auth=trust", "--username=booking", "--encoding=UTF8",
		"--locale=C")
	p.start()
	_, err := p.open("postgres").ExecContext(t.Context(), `CREATE DATABASE booking`)
	require.NoError(t, err)
	return p
}

func (p *postgres) standby() *postgres {
	p.t.Helper()
	s := &postgres{t: p.t, dir: serverFolder(p.t), port: freePort(p.t)}
	s.program("pg_basebackup", "--no-sync", "--checkpoint=fast", "-R", "-D", s.data(),
		"-d", fmt.Sprintf("host=127.0.0.1 port=%d user=booking application_name=second", p.port))
	s.start()
	admin := p.open("postgres")
	for _, statement := range []string{`ALTER SYSTEM SET synchronous_standby_names = 'second'`,
		`SELECT pg_reload_conf()`} {
		_, err := admin.ExecContext(p.t.Context(), statement)
		require.NoError(p.t, err)
	}
	eventually(p.t, "in step", func(ctx context.Context) bool {
		var state string
		return admin.QueryRowContext(ctx, `SELECT sync_state FROM pg_stat_replication`).Scan(&state) == nil &&
			state == "sync"
	})
	return s
}

// start waits for the first answer. Its shell ends the server when this process ends.
func (p *postgres) start() {
	p.t.Helper()
	_ = os.Remove(filepath.Join(p.data(), "postmaster.pid"))
	cmd := p.command("/bin/sh", "-c", `"$@" & cat >/dev/null; kill -QUIT $! 2>/dev/null; wait $!`, "sh",
		testdb.Program(p.t, "postgres"), "-D", p.data(),
		"-p", strconv.Itoa(p.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c",
		"fsync=off", "-c", "timezone=UTC")
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	in, err := cmd.StdinPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	p.in, p.done = in, done
	p.t.Cleanup(func() {
		p.signal(syscall.SIGCONT)
		_ = in.Close()
		<-done
		if p.t.Failed() {
			said, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			p.t.Logf("postgres on port %d:\n%s", p.port, said[max(0, len(said)-4000):])
		}
	})
	db := p.open("postgres")
	eventually(p.t, "Postgres answers", func(ctx context.Context) bool { return db.PingContext(ctx) == nil })
}

// kill returns when no process of the server is left.
func (p *postgres) kill() {
	p.t.Helper()
	processes := p.processes()
	require.NotEmpty(p.t, processes)
	require.NoError(p.t, syscall.Kill(processes[0], syscall.SIGKILL))
	eventually(p.t, "every process of Postgres gone", func(context.Context) bool {
		for _, pid := range processes {
			if state(pid) != "" && state(pid) != "Z" {
				return false
			}
		}
		return true
	})
	// The shell still waits for the end of its pipe.
	_ = p.in.Close()
	<-p.done
}

func (p *postgres) signal(s syscall.Signal) {
	for _, pid := range p.processes() {
		_ = syscall.Kill(pid, s)
	}
}

// processes has the postmaster first.
func (p *postgres) processes() []int {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	if err != nil || state(postmaster) == "" {
		return nil
	}
	all := []int{postmaster}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", postmaster, postmaster))
	for field := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(field); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// state returns the letter of a process's state, or "".
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 || end+3 > len(text) {
		return ""
	}
	return string(text[end+2 : end+3])
}

func (p *postgres) promote() {
	p.t.Helper()
	_, err := p.open("postgres").ExecContext(p.t.Context(), `SELECT pg_promote(true, 30)`)
	require.NoError(p.t, err)
}

func (p *postgres) url(database string) string {
	return fmt.Sprintf("postgres://booking@127.0.0.1:%d/%s?sslmode=disable", p.port, database)
}

func (p *postgres) open(database string) *sql.DB {
	p.t.Helper()
	db, err := sql.Open("postgres", p.url(database))
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = db.Close() })
	return db
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) program(name string, args ...string) {
	p.t.Helper()
	out, err := p.command(testdb.Program(p.t, name), args...).CombinedOutput()
	require.NoError(p.t, err, string(out))
}

// command does not run as root, which Postgres refuses.
func (p *postgres) command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.Dir = p.dir
	if uid, gid, other := ordinary(p.t); other {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	return cmd
}

// ordinary is the user to run as if this process is root.
func ordinary(t *testing.T) (uid, gid uint32, other bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	require.NoError(t, err)
	u, err := strconv.ParseUint(who.Uid, 10, 32)
	require.NoError(t, err)
	g, err := strconv.ParseUint(who.Gid, 10, 32)
	require.NoError(t, err)
	return uint32(u), uint32(g), true
}

// The server can enter serverFolder; those of t.TempDir may be below a closed one.
func serverFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "booking-e2e-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if uid, gid, other := ordinary(t); other {
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
	}
	return dir
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func within(t *testing.T, limit time.Duration, what string, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %v", what, took.Round(time.Millisecond))
	require.LessOrEqual(t, took, limit, what)
}
