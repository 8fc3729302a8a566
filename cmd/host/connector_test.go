package main_test

import (
	"context"
	"database/sql"
	"io"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// behindPooler tells whether the tests go by way of a pooler in transaction mode.
func behindPooler() bool { return os.Getenv("TEST_DATABASE_POOLER") != "" }

func limitsOf(t *testing.T, db *sql.DB) string {
	t.Helper()
	var s string
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT concat_ws(' ', current_setting('statement_timeout'), current_setting('lock_timeout'),
		current_setting('idle_in_transaction_session_timeout'))`).Scan(&s))
	return s
}

// What a request does ends in the database too, and what the URL says counts more.
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

// A transaction that is left open is ended by the database, and so is one that waits for
// a lock.
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

	idle, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = idle.Rollback() }()
	var pid int
	require.NoError(t, idle.QueryRowContext(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid))
	eventually(t, "the idle transaction is ended", func() bool {
		var n int
		return holder.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pid = $1`,
			pid).Scan(&n) == nil && n == 0
	})
}

// Behind a pooler in transaction mode a host serves, says what it lacks there, and
// refuses to keep statements prepared. Without one, it keeps them.
func TestHostAndPooler(t *testing.T) {
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
