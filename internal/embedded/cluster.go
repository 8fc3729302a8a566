package embedded

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	_ "github.com/lib/pq" // The driver "postgres".
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

// create makes the cluster beside its place and moves it there, so that what stands there
// is whole.
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
	defer func() { _ = os.RemoveAll(beside) }()
	if err := c.own(); err != nil {
		return err
	}
	auth := "scram-sha-256"
	if c.ephemeral {
		// SCRAM costs a client 2 ms of processor time per connection, 10 ms under the race
		// detector: too much for tests, which open thousands.
		auth = "md5"
	}
	// The paths are given from the folder it runs in: all of those above it need not be
	// readable for whom it runs as.
	cmd := c.command(ctx, "initdb", "--pgdata="+filepath.Base(beside), "--username="+superuser,
		"--pwfile="+passwordFile,
		"--auth="+auth, "--encoding=UTF8", "--locale=C", "--no-sync")
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("make a cluster in %s: %w", c.dir, context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("make a cluster in %s: %w", c.dir, explain(out, err))
	}
	return os.Rename(beside, c.data())
}

// setUp waits until the server lets us in, and makes what is missing of the role, its
// database and its rights: a first start may have been killed in between.
func (c *cluster) setUp(ctx context.Context) error {
	// Whoever has taken our port may accept and say nothing, and this driver opens a
	// connection without our context.
	db, err := sql.Open("postgres", c.url(superuser, "postgres")+"&connect_timeout=2")
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := c.wait(ctx, db); err != nil {
		return err
	}
	rights := "NOCREATEDB"
	if c.ephemeral {
		rights = "CREATEDB"
	}
	// A utility statement takes no parameters; the password is ours, of letters and
	// digits.
	for _, step := range []struct{ unless, do string }{
		{`SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = '` + owner + `'`,
			`CREATE ROLE ` + owner + ` LOGIN ` + rights + ` PASSWORD '` + c.password + `'`},
		{`SELECT 1 FROM pg_catalog.pg_database WHERE datname = '` + database + `'`,
			`CREATE DATABASE ` + database + ` OWNER ` + owner},
	} {
		err := db.QueryRowContext(ctx, step.unless).Scan(new(int))
		if errors.Is(err, sql.ErrNoRows) {
			_, err = db.ExecContext(ctx, step.do)
		}
		if err != nil {
			return fmt.Errorf("set the cluster up: %w", err)
		}
	}
	err = db.QueryRowContext(ctx,
		`SELECT 1 FROM pg_catalog.pg_available_extensions WHERE name = 'btree_gist'`).Scan(new(int))
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("the Postgres programs in %s come without the extension btree_gist: install the package with their contrib modules (postgresql-contrib)", c.programs)
	}
	return err
}

// wait polls until the server lets us in or has ended. It answers nobody but who knows
// the password, and proves that it knows it too, so this is our server and no other one.
func (c *cluster) wait(ctx context.Context, db *sql.DB) error {
	for {
		if db.PingContext(ctx) == nil {
			return nil
		}
		select {
		case <-c.server.done:
			return fmt.Errorf("start Postgres: %w", explain(c.server.said(), c.server.err))
		default:
		}
		if pause(ctx, rhythm) != nil {
			return fmt.Errorf("start Postgres: %w", explain(c.server.said(), context.Cause(ctx)))
		}
	}
}

// Running is the URL of the server that another process runs on a data folder, as
// [Server.URL] is; for a command beside it, after Start has said by a [*HeldError] that
// there is one. Who may not read the folder gets an error, and so does who asks before
// the server has begun. The server stays the other's, and ends with it.
func Running(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	password, err := os.ReadFile(filepath.Join(dir, passwordFile))
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	// Postgres writes there: process, folder, start, port, and more.
	pidFile, err := os.ReadFile(filepath.Join(dir, dataFolder, "postmaster.pid"))
	if err != nil {
		return "", fmt.Errorf("embedded: find the server: %w", err)
	}
	lines := strings.Split(string(pidFile), "\n")
	if len(lines) < 4 {
		return "", fmt.Errorf("embedded: the server in %s is about to start: try again", dir)
	}
	port, err := strconv.Atoi(strings.TrimSpace(lines[3]))
	if err != nil {
		return "", fmt.Errorf("embedded: the server in %s is about to start: try again", dir)
	}
	return serverURL(owner, string(password), port, database), nil
}

// serverURL is where a server is. The encryption that lib/pq asks for by default has no
// use on the loopback.
func serverURL(role, password string, port int, database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/" + database, RawQuery: "sslmode=disable",
	}
	return u.String()
}
