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
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const poolerVariable = "TEST_DATABASE_POOLER"

func pooled() bool { return os.Getenv(poolerVariable) != "" }

// pooler is a PgBouncer in transaction mode, otherwise with Debian's defaults: it refuses
// settings that cannot be kept apart on a shared connection.
type pooler struct {
	address string
	// server is the URL of a database without the pooler.
	server  string
	console *sql.DB
	end     func() error
}

var (
	poolerMu sync.Mutex
	asked    bool
	current  *pooler
	failure  error
)

// sharedPooler returns the pooler of this test binary, started in front of the server of
// a database.
func sharedPooler(databaseURL string) (*pooler, error) {
	poolerMu.Lock()
	defer poolerMu.Unlock()
	if !asked {
		asked = true
		current, failure = startPooler(context.Background(), databaseURL)
	}
	return current, failure
}

func stopPooler() error {
	poolerMu.Lock()
	defer poolerMu.Unlock()
	if current == nil {
		return nil
	}
	return errors.Join(current.console.Close(), current.end())
}

// pooledURL returns the URL of a test's database through the pooler, if there is one.
func pooledURL(t testing.TB, databaseURL string) string {
	t.Helper()
	if !pooled() {
		return databaseURL
	}
	p, err := sharedPooler(databaseURL)
	require.NoError(t, err, "testdb: no pooler")
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	// Before the database is dropped.
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := p.quiet(ctx, strings.TrimPrefix(u.Path, "/")); err != nil {
			t.Errorf("testdb: %v", err)
		}
	})
	through, err := p.through(databaseURL)
	require.NoError(t, err)
	return through
}

// auth_type=any: all databases are used by one role, without a password.
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

func checkPooler(name string) error {
	if name != "pgbouncer" {
		return fmt.Errorf("%s is %q: it is pgbouncer, or not set", poolerVariable, name)
	}
	return nil
}

// startPooler starts one in front of a server. It ends with this process, even if killed,
// because its shell waits for the end of a pipe.
func startPooler(ctx context.Context, server string) (_ *pooler, err error) {
	if err := checkPooler(os.Getenv(poolerVariable)); err != nil {
		return nil, err
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
		// PgBouncer refuses to run as root, and changes to the user given by -u, who has
		// to read these files.
		account, err := giveAway(dir, settings)
		if err != nil {
			return nil, err
		}
		args = append(args, "-u", account)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", append(args, "-q", settings)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &pooler{address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), server: server,
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

func giveAway(files ...string) (string, error) {
	var account *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if account, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return "", err
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	for _, file := range files {
		if err := os.Chown(file, uid, gid); err != nil {
			return "", err
		}
	}
	return account.Username, nil
}

func endPooler(cmd *exec.Cmd, in io.Closer) error {
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("stop pgbouncer, which had already ended: %w", err)
	}
	return nil
}

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

// quiet waits until no statement or cancellation is under way in a database. PgBouncer
// 1.18 exits (server in bad state: 11) if a server connection ends during a cancellation,
// and dropping the database ends all of them.
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

// busy reports whether connections of a database are in use or being cancelled.
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

// Cancels is a reason for [Direct]: PgBouncer 1.18, which Debian 12 has, exits when a
// statement is cancelled while its connection ends. 1.19 fixes that.
const Cancels = "PgBouncer 1.18 does not survive a cancelled statement"

// Direct returns the URL of the same database without the pooler, for tests of session
// state; why names that state. Without a pooler it returns the URL unchanged.
func Direct(t testing.TB, databaseURL, why string) string {
	t.Helper()
	require.NotEmpty(t, strings.TrimSpace(why), "testdb: say what of the session the test is about")
	if !pooled() {
		return databaseURL
	}
	p, err := sharedPooler(databaseURL)
	require.NoError(t, err, "testdb: no pooler")
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	direct, err := url.Parse(p.server)
	require.NoError(t, err)
	direct.Path = u.Path
	return direct.String()
}

// overPooler reports whether a URL leads to the server through the pooler, directly or by
// way of a proxy of a test.
func overPooler(u *url.URL) bool {
	if !pooled() {
		return false
	}
	poolerMu.Lock()
	p := current
	poolerMu.Unlock()
	if p == nil {
		return false
	}
	direct, err := url.Parse(p.server)
	return err == nil && direct.Host != u.Host
}
