package main_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/cmd/host/internal/config"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

var errRefused = errors.New("connection refused")

// absent is a database that refuses the first connection; the second one hangs.
type absent struct {
	tries int
	end   context.CancelFunc
}

func (a *absent) Connect(ctx context.Context) (driver.Conn, error) {
	if a.tries++; a.tries == 1 {
		return nil, errRefused
	}
	a.end()
	<-ctx.Done()
	return nil, ctx.Err()
}

func (a *absent) Driver() driver.Driver { return nil }

func TestWaitForDB_ReturnsLastError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	db := sql.OpenDB(&absent{end: cancel})
	defer db.Close()
	err := host.Await(ctx, db, io.Discard)
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, "the database does not answer")
}

// late is a database that refuses the first connection. The second one reaches its
// deadline before the context reports it, as a connection's own deadline does.
type late struct{ tries int }

func (l *late) Connect(ctx context.Context) (driver.Conn, error) {
	if l.tries++; l.tries == 1 {
		return nil, errRefused
	}
	end, _ := ctx.Deadline()
	early, cancel := context.WithDeadline(ctx, end.Add(-20*time.Millisecond))
	defer cancel()
	<-early.Done()
	return nil, os.ErrDeadlineExceeded
}

func (l *late) Driver() driver.Driver { return nil }

func TestWaitForDB_ReturnsLastErrorBeforeDeadline(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	db := sql.OpenDB(&late{})
	defer db.Close()
	require.ErrorIs(t, host.Await(ctx, db, io.Discard), errRefused)
}

// behindPooler reports whether the tests use a pooler in transaction mode.
func behindPooler() bool { return os.Getenv("TEST_DATABASE_POOLER") != "" }

func limitsOf(t *testing.T, db *sql.DB) string {
	t.Helper()
	var s string
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'),
		current_setting('idle_in_transaction_session_timeout'))`).Scan(&s))
	return s
}

// The URL overrides the limits.
func TestOpen_ConnectionsHaveLimits(t *testing.T) {
	t.Parallel()
	direct := testdb.Direct(t, testdb.URL(t), "a connection begins with its limits")
	for more, want := range map[string]string{
		"":                        "16s 10s 30s",
		"&statement_timeout=5000": "5s 10s 30s",
		"&options=-c%20statement_timeout%3D3s%20-c%20lock_timeout%3D2s": "3s 2s 30s",
	} {
		db, err := host.OpenDB(direct+more, time.Minute)
		require.NoError(t, err)
		defer db.Close()
		require.Equal(t, want, limitsOf(t, db), more)
		migrating, err := host.OpenMigrating(direct + more)
		require.NoError(t, err)
		defer migrating.Close()
		require.Equal(t, "0 0 0", limitsOf(t, migrating), "a migration may take its time")
	}
}

func TestOpen_LimitsEndHangingStatements(t *testing.T) {
	t.Parallel()
	direct := testdb.Direct(t, testdb.URL(t), "a connection begins with its limits")
	db, err := host.OpenDB(direct+"&statement_timeout=100&lock_timeout=50&idle_in_transaction_session_timeout=100",
		time.Minute)
	require.NoError(t, err)
	defer db.Close()
	var state interface{ SQLState() string }
	_, err = db.ExecContext(t.Context(), `SELECT pg_sleep(60)`)
	require.ErrorAs(t, err, &state)
	require.Equal(t, "57014", state.SQLState())

	holder := testdb.Open(t, testdb.PQ, direct)
	tx, err := holder.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `LOCK TABLE booking_platform.resources`)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `SELECT count(*) FROM booking_platform.resources`)
	require.ErrorAs(t, err, &state)
	require.Equal(t, "55P03", state.SQLState())

	// On a busy machine the limit can end a transaction before its first statement.
	var idle *sql.Tx
	var pid int
	eventually(t, "a transaction has run its first statement", func() bool {
		if idle, err = db.BeginTx(t.Context(), nil); err != nil {
			return false
		}
		if idle.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid) == nil {
			return true
		}
		_ = idle.Rollback()
		return false
	})
	defer func() { _ = idle.Rollback() }()
	eventually(t, "the idle transaction is ended", func() bool {
		var n int
		return holder.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`,
			pid).Scan(&n) == nil && n == 0
	})
}

// Behind a pooler the host warns of missing limits and refuses DATABASE_PREPARE.
func TestStart_HostAndPooler(t *testing.T) {
	t.Parallel()
	url := testdb.URL(t)
	h := startHost(t, map[string]string{"DATABASE_URL": url, "DATABASE_POOL": "7"})
	require.Equal(t, 7, h.DB().Stats().MaxOpenConnections)
	const warning = "no limit on time"
	c := h.client()
	var b created
	c.post("/api/bookings", wish(c.slot(0), nil)).into(t, &b)
	_, err := h.StripeFake().Pay(t.Context(), b.StripeSessionID)
	require.NoError(t, err)
	eventually(t, "confirmed", func() bool {
		var v shown
		c.get("/api/bookings/"+b.ID+"?token="+b.Token).into(t, &v)
		return v.Status == "confirmed"
	})
	env := map[string]string{"DATABASE_URL": url, "DATABASE_PREPARE": "true", "PORT": "0", "DATA_DIR": t.TempDir()}
	if !behindPooler() {
		require.NotContains(t, h.log.String(), warning)
		require.NoError(t, host.CheckPreparedStatements(t.Context(), h.DB()))
		return
	}
	require.Contains(t, h.log.String(), warning)
	require.Contains(t, h.log.String(), "idle_in_transaction_session_timeout, lock_timeout, statement_timeout")
	_, err = host.Start(context.Background(), env, io.Discard)
	require.ErrorContains(t, err, "DATABASE_PREPARE is true")
	require.NotContains(t, err.Error(), "postgres://")
}

// M26: A permanent error ends the start at once, as a problem of the configuration.
func TestStart_PermanentDatabaseErrors(t *testing.T) {
	t.Parallel()
	direct := testdb.Direct(t, testdb.EmptyURL(t), "a pooler answers in the server's place")
	changed := func(change func(*url.URL, url.Values)) string {
		u, err := url.Parse(direct)
		require.NoError(t, err)
		query := u.Query()
		change(u, query)
		u.RawQuery = query.Encode()
		return u.String()
	}
	for name, c := range map[string]struct{ databaseURL, want string }{
		"unknown parameter": {changed(func(_ *url.URL, q url.Values) { q.Set("chanel_binding", "require") }),
			"has the parameter chanel_binding"},
		"unknown value": {changed(func(_ *url.URL, q url.Values) { q.Set("work_mem", "much") }),
			"has a parameter that the server does not take"},
		"option": {changed(func(_ *url.URL, q url.Values) { q.Set("options", "endpoint=ep-a") }),
			"has a parameter that the server does not take"},
		"no such database": {changed(func(u *url.URL, _ url.Values) { u.Path = "/no_such_database" }),
			"names the database no_such_database, which does not exist"},
		"no such role": {changed(func(u *url.URL,
			_ url.Values) {
			u.User = url.UserPassword("no_such_role", "hunter2")
		}), "is refused"},
		"no TLS": {changed(func(_ *url.URL, q url.Values) { q.Set("sslmode", "require") }),
			"demands TLS, and the server has none"},
		"missing file": {changed(func(_ *url.URL,
			q url.Values) {
			q.Set("sslmode", "verify-ca")
			q.Set("sslrootcert", "/no/such.pem")
		}),
			"names a file that cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logBook{}
			_, err := host.Start(t.Context(), map[string]string{"PORT": "0", "METRICS_ADDR": "off",
				"DATA_DIR": t.TempDir(), "DATABASE_URL": c.databaseURL}, log)
			var problems config.Problems
			require.ErrorAs(t, err, &problems)
			require.Len(t, problems, 1)
			require.Contains(t, problems[0].Wrong, c.want)
			require.NotContains(t, log.String(), "waiting for the database")
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// M26: A connection string of Neon works, with one warning.
func TestStart_ParameterLeftOut(t *testing.T) {
	t.Parallel()
	h := startHost(t, map[string]string{"DATABASE_URL": testdb.URL(t) +
		"&channel_binding=require&connection_limit=5&pgbouncer=true"})
	require.Equal(t, 1, strings.Count(h.log.String(), "left out: channel_binding, connection_limit, pgbouncer"))
}

// M26.
func TestStart_UnusableDatabase(t *testing.T) {
	t.Parallel()
	start := func(databaseURL string) error {
		_, err := host.Start(t.Context(), map[string]string{"PORT": "0", "METRICS_ADDR": "off", "DATA_DIR": t.TempDir(),
			"DATABASE_URL": databaseURL}, io.Discard)
		return err
	}
	for encoding, locale := range map[string]string{"LATIN1": "C", "SQL_ASCII": "C"} {
		direct := testdb.Direct(t, testdb.EmptyURL(t), "another database is made")
		u, err := url.Parse(direct)
		require.NoError(t, err)
		db := testdb.Open(t, testdb.PQ, direct)
		name := strings.TrimPrefix(u.Path, "/") + strings.ToLower(encoding)
		_, err = db.ExecContext(t.Context(), `CREATE DATABASE "`+name+`" ENCODING '`+encoding+`' LOCALE '`+locale+
			`' TEMPLATE template0`)
		require.NoError(t, err)
		t.Cleanup(func() { _, _ = db.ExecContext(context.Background(), `DROP DATABASE "`+name+`" WITH (FORCE)`) })
		u.Path = "/" + name
		require.ErrorContains(t, start(u.String()), "the database's encoding is "+encoding)
	}
	direct := testdb.Direct(t, testdb.EmptyURL(t), "settings of the role reach new sessions only")
	byDefault(t, direct, "default_transaction_read_only = on")
	require.ErrorContains(t, start(direct), "transactions are read-only")
}

// byDefault sets a setting for the database and the role.
func byDefault(t *testing.T, databaseURL, setting string) {
	t.Helper()
	_, err := testdb.Open(t, testdb.PQ, databaseURL).ExecContext(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET `+setting+`', current_database());
		EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET `+setting+`', current_database());
	END $$`)
	require.NoError(t, err)
}

// M10: Single statements run at READ COMMITTED.
func TestOpen_DefaultIsolation(t *testing.T) {
	t.Parallel()
	direct := testdb.Direct(t, testdb.EmptyURL(t), "a connection begins with its settings")
	byDefault(t, direct, "default_transaction_isolation = serializable")
	for _, databaseURL := range []string{direct, direct + "&default_transaction_isolation=serializable",
		direct + "&options=-c%20default_transaction_isolation%3Dserializable"} {
		serving, err := host.OpenDB(databaseURL, time.Minute)
		require.NoError(t, err)
		defer serving.Close()
		migrating, err := host.OpenMigrating(databaseURL)
		require.NoError(t, err)
		defer migrating.Close()
		for _, db := range []*sql.DB{serving, migrating} {
			var isolation string
			require.NoError(t, db.QueryRowContext(t.Context(), `SHOW transaction_isolation`).Scan(&isolation))
			require.Equal(t, "read committed", isolation)
		}
	}
}

// socketCounter forwards to a server and counts the sockets that clients have open.
func socketCounter(t *testing.T, databaseURL string) (through string, open *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(databaseURL)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	target := u.Host
	open = &atomic.Int64{}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			open.Add(1)
			go func() {
				_, _ = io.Copy(server, client)
				open.Add(-1)
				_, _ = server.Close(), client.Close()
			}()
			go func() {
				_, _ = io.Copy(client, server)
				_, _ = server.Close(), client.Close()
			}()
		}
	}()
	u.Host = listener.Addr().String()
	return u.String(), open
}

// M31: lib/pq leaves the socket open on which TLS was refused (sslmode=prefer) or the
// login failed (sslmode=allow).
func TestOpen_LeavesNoSocketOpen(t *testing.T) {
	t.Parallel()
	through, open := socketCounter(t, testdb.Direct(t, testdb.EmptyURL(t), "it is the server that refuses TLS"))
	const connections = 5
	prefer := strings.Replace(through, "sslmode=disable", "sslmode=prefer", 1)
	require.NotEqual(t, through, prefer)
	for _, db := range []func() (*sql.DB, error){
		func() (*sql.DB, error) { return host.OpenDB(prefer, time.Minute) },
		func() (*sql.DB, error) { return host.OpenMigrating(prefer) },
	} {
		db, err := db()
		require.NoError(t, err)
		var conns []*sql.Conn
		for range connections {
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		eventually(t, "each connection has one socket", func() bool { return open.Load() == connections })
		for _, conn := range conns {
			require.NoError(t, conn.PingContext(t.Context()), "the live socket is not closed")
			require.NoError(t, conn.Close())
		}
		// Cancelling a statement uses another socket, which the driver closes.
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err = db.ExecContext(ctx, `SELECT pg_sleep(60)`)
		cancel()
		require.Error(t, err)
		require.NoError(t, db.Close())
		eventually(t, "no socket is left", func() bool { return open.Load() == 0 })
	}
	refused, err := url.Parse(strings.Replace(through, "sslmode=disable", "sslmode=allow", 1))
	require.NoError(t, err)
	refused.Path = "/no_such_database"
	db, err := host.OpenDB(refused.String(), time.Minute)
	require.NoError(t, err)
	defer db.Close()
	require.Error(t, db.PingContext(t.Context()))
	eventually(t, "no socket of a login that failed is left", func() bool { return open.Load() == 0 })
}

// M31: The socket is closed before the next one is opened, not by the garbage collector.
func TestOpen_ClosesRefusedSocketFirst(t *testing.T) {
	t.Parallel()
	for mode, answer := range map[string]string{
		"prefer": "N", // No TLS here.
		"allow":  "E\x00\x00\x00\x17SFATAL\x00C28000\x00Mno\x00\x00",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer listener.Close()
			db, err := host.OpenDB("postgres://u:p@"+listener.Addr().String()+"/b?sslmode="+mode, time.Minute)
			require.NoError(t, err)
			defer db.Close()
			ended := make(chan error, 1)
			go func() { ended <- db.PingContext(context.Background()) }()

			packet := make([]byte, 4096)
			first, err := listener.Accept()
			require.NoError(t, err)
			defer first.Close()
			_, err = first.Read(packet)
			require.NoError(t, err)
			_, err = io.WriteString(first, answer)
			require.NoError(t, err)
			second, err := listener.Accept()
			require.NoError(t, err)
			_, err = second.Read(packet)
			require.NoError(t, err)
			require.NoError(t, first.SetReadDeadline(time.Now().Add(5*time.Second)))
			_, err = first.Read(packet)
			require.ErrorIs(t, err, io.EOF, "the socket of the refused attempt is closed")
			require.NoError(t, second.Close())
			require.Error(t, <-ended)
		})
	}
}
