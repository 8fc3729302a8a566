package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// poolerVariable asks for a pooler in front of the server, whichever that is.
const poolerVariable = "TEST_DATABASE_POOLER"

// pooled tells whether every test is to go through one.
func pooled() bool { return os.Getenv(poolerVariable) != "" }

// pooler is a PgBouncer in transaction mode, with Debian's defaults otherwise: what it
// cannot keep apart for those who share a connection it refuses.
type pooler struct {
	address string
	// console is where it is asked what it does.
	console *sql.DB
	end     func() error
}

// Every database is reached as the one role that the tests have; with auth_type=any
// nobody is asked for a password.
const poolerSettings = `[databases]
* = host=%s port=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 40
max_client_conn = 2000
query_wait_timeout = 30
logfile = %s
`

// startPooler starts one in front of a server. It ends with this process, however that
// ends: its shell waits for the end of a pipe.
func startPooler(ctx context.Context, server string) (_ *pooler, err error) {
	if name := os.Getenv(poolerVariable); name != "pgbouncer" {
		return nil, fmt.Errorf("%s is %q: it is pgbouncer, or not set", poolerVariable, name)
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, errors.New("the server's URL cannot be read")
	}
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		return nil, fmt.Errorf("find the program, which Debian's package pgbouncer has: %w", err)
	}
	dir, err := os.MkdirTemp("", "booking-pooler-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	settings, log := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "log")
	text := fmt.Sprintf(poolerSettings, u.Hostname(), u.Port(), u.User.Username(), password, port, log)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		return nil, err
	}
	args := []string{"-c",
		`dir=$1; shift; "$@" & cat >/dev/null; kill $!; ended=$?; wait $!; rm -r "$dir"; exit $ended`, "sh", dir,
		program}
	if os.Geteuid() == 0 {
		// It refuses root, and changes to whom it is told; that one has to read what we
		// have written.
		who, err := nobody(dir, settings)
		if err != nil {
			return nil, err
		}
		args = append(args, "-u", who)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", append(args, "-q", settings)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &pooler{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		end: func() error { return endPooler(cmd, in) }}
	if p.console, err = sql.Open("postgres", "postgres://console@"+p.address+"/pgbouncer?sslmode=disable"); err != nil {
		return nil, errors.Join(err, p.end())
	}
	if err := p.wait(ctx, server); err != nil {
		said, _ := os.ReadFile(log)
		return nil, errors.Join(fmt.Errorf("start pgbouncer: %w\n%s", err, said), p.end())
	}
	return p, nil
}

// nobody gives files to a user that is not root, and names it.
func nobody(files ...string) (string, error) {
	var who *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if who, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return "", err
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	for _, file := range files {
		if err := os.Chown(file, uid, gid); err != nil {
			return "", err
		}
	}
	return who.Username, nil
}

func endPooler(cmd *exec.Cmd, in io.Closer) error {
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("stop pgbouncer, which had ended by itself: %w", err)
	}
	return nil
}

// wait returns when the server answers through it.
func (p *pooler) wait(ctx context.Context, server string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	through, err := p.through(server)
	if err != nil {
		return err
	}
	db, err := sql.Open("postgres", through)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// through is a URL of the server, by way of the pooler.
func (p *pooler) through(databaseURL string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", err
	}
	u.Host = p.address
	query := u.Query()
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// quiet waits until nothing is under way in a database any more. PgBouncer 1.18 ends
// itself (server in bad state: 11) when a server's connection ends while somebody is
// cancelling on it, and dropping the database ends them all.
func (p *pooler) quiet(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		busy, err := p.busy(ctx, name)
		if err != nil || !busy {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// busy tells whether the pooler has connections of a database that are in use or being
// cancelled on.
func (p *pooler) busy(ctx context.Context, name string) (bool, error) {
	rows, err := p.console.QueryContext(ctx, `SHOW POOLS`)
	if err != nil {
		return false, fmt.Errorf("ask pgbouncer: %w", err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return false, err
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	busy := false
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return false, err
		}
		if values[slices.Index(columns, "database")].String != name {
			continue
		}
		for i, column := range columns {
			counts := strings.Contains(column, "cancel") || column == "sv_active" || column == "sv_tested" ||
				column == "sv_login"
			busy = busy || counts && values[i].String != "0"
		}
	}
	return busy, rows.Err()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Cancels is why a test that ends statements which are under way goes by no pooler:
// PgBouncer 1.18, which Debian 12 has, ends itself when a statement is cancelled while
// its connection ends (server in bad state, bad client state; 1.19 has both mended).
const Cancels = "PgBouncer 1.18 does not survive a cancelled statement"

// Direct is the URL of the same database by way of no pooler, for a test of what a
// session has and a transaction has not. why names that; without a pooler the URL is
// returned as it is.
func Direct(t testing.TB, databaseURL, why string) string {
	t.Helper()
	require.NotEmpty(t, strings.TrimSpace(why), "testdb: say what of the session the test is about")
	if !pooled() {
		return databaseURL
	}
	s, err := shared()
	require.NoError(t, err, "testdb: no Postgres to test with")
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	direct, err := s.urlOf(strings.TrimPrefix(u.Path, "/"))
	require.NoError(t, err)
	return direct
}

// overPooler tells whether a URL leads to the server by way of the pooler, directly or by
// something that a test has put before that.
func overPooler(u *url.URL) bool {
	if !pooled() {
		return false
	}
	s, err := shared()
	if err != nil {
		return false
	}
	direct, err := url.Parse(s.url)
	return err == nil && direct.Host != u.Host
}
