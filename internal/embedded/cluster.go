package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	dataFolder   = "data"
	passwordFile = "password"
	// The role that owns the cluster, the one that the program works as, and its database.
	superuser = "postgres"
	owner     = "booking"
	database  = "booking_platform"
)

// cluster is what the guard runs: a data folder, the programs for it, and whom they run as.
type cluster struct {
	dir, programs string
	ephemeral     bool
	held          *os.File
	who           identity
	password      string
	server        *process
}

// start makes the cluster where there is none, runs it, and returns the URL.
func (c *cluster) start(ctx context.Context) (string, error) {
	var err error
	if c.who, err = c.identify(ctx); err != nil {
		return "", err
	}
	if err := c.create(ctx); err != nil {
		return "", err
	}
	if err := c.own(); err != nil {
		return "", err
	}
	// Whoever held the lock before us has ended with all children, so this is stale. Postgres would find that out by
	// looking whether the process it names is alive, and that number may have been given to another.
	if err := removeStale(c.data()); err != nil {
		return "", err
	}
	// The port is free when we look and may not be when Postgres takes it.
	for range 5 {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		if c.server, err = c.run(port); err != nil {
			return "", err
		}
		err = c.setUp(ctx, port)
		if err == nil {
			return c.url(owner, database, port), nil
		}
		c.server.stop(true)
		if !errors.Is(err, errPortTaken) {
			return "", err
		}
	}
	return "", errPortTaken
}

// create makes the cluster beside its place and moves it there, so that what stands there is whole.
func (c *cluster) create(ctx context.Context) error {
	passwordPath := filepath.Join(c.dir, passwordFile)
	_, err := os.Stat(c.data())
	if err == nil {
		text, err := os.ReadFile(passwordPath)
		if err != nil {
			return fmt.Errorf("read the password of the data in %s: %w; without it nobody can log in there: restore it, or choose another folder (DATA_DIR)", c.dir, err)
		}
		c.password = string(text)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	c.password = rand.Text()
	if err := os.WriteFile(passwordPath, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	beside := c.data() + ".new"
	if err := errors.Join(os.RemoveAll(beside), os.Mkdir(beside, 0o700)); err != nil {
		return fmt.Errorf("make room for a cluster: %w", err)
	}
	if err := c.own(); err != nil {
		return err
	}
	// The paths are given from the folder it runs in: all of those above it need not be readable for whom it runs as.
	cmd := c.command(ctx, "initdb", "--pgdata="+filepath.Base(beside), "--username="+superuser, "--pwfile="+passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("make a cluster in %s: %w", c.dir, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("make a cluster in %s: %w", c.dir, explain(out, err))
	}
	return os.Rename(beside, c.data())
}

// run starts Postgres. Where it logs is a file that belongs to us, opened before it is somebody else.
func (c *cluster) run(port int) (*process, error) {
	settings := []string{
		"port=" + strconv.Itoa(port),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"timezone=UTC",
		"log_timezone=UTC",
		"max_connections=200",
		// A refused insert is everyday business here, and its values are somebody's name and address.
		"log_min_error_statement=panic",
		"log_error_verbosity=terse",
	}
	if c.ephemeral {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", dataFolder}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return launch(c.command(context.Background(), "postgres", args...), c.dir, c.programs)
}

// command runs one of the programs as whom they have to run as, in our folder, with the lock.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := program(c.programs, name)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.dir
	if c.who.late {
		cmd = exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `cd "$1" && shift && exec "$@"`, "sh", c.dir, path}, args...)...)
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = c.who.attributes()
	inherit(cmd, c.held)
	return cmd
}

func (c *cluster) data() string { return filepath.Join(c.dir, dataFolder) }

// url is where the server is. The encryption that lib/pq asks for by default has no use on the loopback.
func (c *cluster) url(role, database string, port int) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, c.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

var errPortTaken = errors.New("no port on 127.0.0.1 stays free long enough to be used: start again")

// What Postgres and initdb say when the machine is the reason, and what there is to do. The rest speaks for itself.
var remedies = []struct {
	says string
	err  error
}{
	{"could not bind", errPortTaken},
	{"No space left on device", errors.New("the disk is full: make room, or choose a folder elsewhere (DATA_DIR)")},
	{"Disk quota exceeded", errors.New("the disk quota is used up: make room, or choose a folder elsewhere (DATA_DIR)")},
	{"Permission denied", errors.New("a permission is missing: choose a folder that this user may write to (DATA_DIR)")},
}

// explain adds the end of what a program said to the error it ended with, and the remedy where it is known.
func explain(said []byte, err error) error {
	said = bytes.TrimSpace(said)
	const end = 2000
	tail := said
	if len(tail) > end {
		tail = append([]byte("…"), tail[len(tail)-end:]...)
	}
	for _, r := range remedies {
		if bytes.Contains(said, []byte(r.says)) {
			return fmt.Errorf("%w (%w); Postgres says:\n%s", r.err, err, tail)
		}
	}
	return fmt.Errorf("%w; Postgres says:\n%s", err, tail)
}
