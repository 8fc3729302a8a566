package embedded

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

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

// start creates the cluster if there is none, runs it, and returns its URL.
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
	// The lock shows that no process of an earlier run is left, so this file is stale.
	// Postgres would test whether its process exists, and the number may belong to
	// another by now.
	if err := removeStale(c.data()); err != nil {
		return "", err
	}
	// Another process may take the port before Postgres does.
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

// run starts the server on c.port and returns when it can be used or has ended.
func (c *cluster) run(ctx context.Context) error {
	settings := []string{
		"port=" + strconv.Itoa(c.port),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"timezone=UTC",
		"log_timezone=UTC",
		"max_connections=200",
		// Refused statements are frequent and contain customers' names and addresses.
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

// create makes the cluster in another folder and moves it into place when it is complete.
func (c *cluster) create(ctx context.Context) error {
	passwordPath := filepath.Join(c.dir, passwordFile)
	_, err := os.Stat(c.data())
	if err == nil {
		text, err := os.ReadFile(passwordPath)
		if err != nil {
			return fmt.Errorf("read the password of the data in %s: %w; no login is possible without it: restore it, or choose another folder (DATA_DIR)", c.dir, err)
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
		return fmt.Errorf("make the folder for a cluster: %w", err)
	}
	defer func() { _ = os.RemoveAll(beside) }()
	if err := c.own(); err != nil {
		return err
	}
	auth := "scram-sha-256"
	if c.ephemeral {
		// SCRAM costs a client 2 ms of processor time per connection, 10 ms under the
		// race detector: too much for tests, which open thousands.
		auth = "md5"
	}
	// The cluster's user may not be able to read the folders above.
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

// setUp waits until the server accepts connections, and creates the role and its database
// if missing: an earlier first start may have been killed in between.
func (c *cluster) setUp(ctx context.Context) error {
	// Another process that has taken the port may accept and not answer, and lib/pq
	// connects without a context.
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

// wait polls until the server accepts the password or has ended. SCRAM authenticates the
// server to the client too, so it is this server and no other.
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
		if pause(ctx, pollInterval) != nil {
			return fmt.Errorf("start Postgres: %w", explain(c.server.said(), context.Cause(ctx)))
		}
	}
}
