package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	dataFolder   = "data"
	passwordFile = "password"
	// The role that owns the cluster, the one that the program works as, and its
	// database.
	superuser = "postgres"
	owner     = "booking"
	database  = "booking_platform"
)

// cluster is what the guard runs: a data folder, the programs for it, and whom they run
// as.
type cluster struct {
	dir, programs string
	ephemeral     bool
	settings      []string
	held          *os.File
	who           identity
	password      string
	port          int
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
	// Whoever held the lock before us has ended with all children, so this is stale.
	// Postgres would find that out by looking whether the process it names is alive, and
	// that number may have been given to another.
	if err := removeStale(c.data()); err != nil {
		return "", err
	}
	// The port is free when we look and may not be when Postgres takes it.
	for range 5 {
		if c.port, err = freePort(); err != nil {
			return "", err
		}
		if err = c.run(ctx); !errors.Is(err, errPortTaken) {
			break
		}
	}
	return c.url(owner, database), err
}

// run runs the server on our port and returns when it can be used, or has ended.
func (c *cluster) run(ctx context.Context) error {
	settings := []string{
		"port=" + strconv.Itoa(c.port),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"timezone=UTC",
		"log_timezone=UTC",
		"max_connections=200",
		// A refused insert is everyday business here, and its values are somebody's name
		// and address.
		"log_min_error_statement=panic",
		"log_error_verbosity=terse",
	}
	if c.ephemeral {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	args := []string{"-D", dataFolder}
	for _, s := range append(settings, c.settings...) {
		args = append(args, "-c", s)
	}
	// Without ctx, whose end would kill it: it is stopped.
	server, err := launch(c.command(context.Background(), "postgres", args...), c.dir, c.programs)
	if err != nil {
		return fmt.Errorf("start Postgres: %w", err)
	}
	c.server = server
	if err := c.setUp(ctx); err != nil {
		server.stop(true)
		return err
	}
	return nil
}

// command runs one of the programs as whom they have to run as, in our folder, with the
// lock.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := program(c.programs, name)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.dir
	if c.who.late {
		cmd = exec.CommandContext(ctx, "/bin/sh",
			append([]string{"-c", `cd "$1" && shift && exec "$@"`, "sh", c.dir, path}, args...)...)
		cmd.Dir = "/"
	}
	cmd.SysProcAttr = c.who.attributes()
	inherit(cmd, c.held)
	return cmd
}

func (c *cluster) data() string { return filepath.Join(c.dir, dataFolder) }

func (c *cluster) url(role, database string) string {
	return serverURL(role, c.password, c.port, database)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}
