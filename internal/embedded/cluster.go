package embedded

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	_ "github.com/lib/pq" // The driver "postgres".
)

const (
	dataFolder   = "data"
	passwordFile = "password"
	// The cluster's owner, the program's role, and its database.
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
	// With the lock no process of an earlier run is left. Postgres would only test
	// whether the file's process number exists, and that may be another's by now.
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

// run returns when the server on c.port can be used or has ended.
func (c *cluster) run(ctx context.Context) error {
	settings := []string{
		"port=" + strconv.Itoa(c.port),
		"listen_addresses=127.0.0.1",
		"unix_socket_directories=",
		"timezone=UTC",
		"log_timezone=UTC",
		"max_connections=200",
		// Refused statements are frequent and contain customers' data.
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

// create makes the cluster in another folder and moves it into place when complete.
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
		// SCRAM costs 2 ms of processor time per connection, 10 ms under the race
		// detector: too much for tests, which open thousands.
		auth = "md5"
	}
	// The cluster's user may not read the folders above.
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

// setUp creates what is missing: an earlier first start may have been killed in between.
func (c *cluster) setUp(ctx context.Context) error {
	// Another process on the port may accept and not answer, and lib/pq connects without
	// a context.
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
// server too, so it is this server and no other.
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

var errLocked = errors.New("locked by another process")

// openLock's lock lasts until every process that has the file open has closed it or died.
func openLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func waitForLock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := openLock(path)
		if !errors.Is(err, errLocked) {
			return f, err
		}
		if err := pause(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

const pollInterval = 20 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

const (
	lockFile   = "lock"
	holderFile = "holder.json"
)

// holder is for messages only: the lock decides.
type holder struct {
	// Zero if unknown, as are the other two; they are of the process that started the
	// server.
	PID     int
	Program string
	Since   time.Time
}

// hold locks the folder. The guard removes the holder file as soon as its parent is gone,
// so a lock without that file belongs to a server that is stopping, and hold waits. A
// lock with that file is a [*HeldError].
func hold(ctx context.Context, dir string, who holder) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, holdTimeout)
	defer cancel()
	var named time.Time
	for {
		held, err := openLock(filepath.Join(dir, lockFile))
		if err == nil {
			who.Since = time.Now()
			return held, sign(dir, who)
		}
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock the data folder: %w", err)
		}
		other, known := readHolder(dir)
		switch {
		case !known:
			named = time.Time{}
		case named.IsZero():
			named = time.Now()
		case time.Since(named) > beliefTimeout:
			return nil, &HeldError{Dir: dir, PID: other.PID, Program: other.Program, Since: other.Since}
		}
		if err := pause(ctx, pollInterval); err != nil {
			return nil, &HeldError{Dir: dir}
		}
	}
}

func sign(dir string, who holder) error {
	text, err := json.Marshal(who)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, holderFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("sign the data folder: %w", err)
	}
	return nil
}

func readHolder(dir string) (holder, bool) {
	var who holder
	text, err := os.ReadFile(filepath.Join(dir, holderFile))
	return who, err == nil && json.Unmarshal(text, &who) == nil
}

// HeldError means that another process runs a server on the data folder.
type HeldError struct {
	Dir string
	// PID, Program and Since are of the process that started the server; zero if unknown.
	PID     int
	Program string
	Since   time.Time
}

func (e *HeldError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d (%s), since %s", e.PID, e.Program, e.Since.UTC().Format(time.DateTime+" UTC"))
	}
	return fmt.Sprintf("the data folder %s is in use by %s: stop that, or choose another folder (DATA_DIR)", e.Dir, who)
}
