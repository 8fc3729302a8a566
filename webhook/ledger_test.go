package webhook_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

func someEvent(t testing.TB, id string) webhook.Event {
	t.Helper()
	ev, err := verified(t, string(event(id, completed)))
	require.NoError(t, err)
	return ev
}

// A claim is committed or rolled back with the caller's transaction, of any kind.
func TestClaim_CallersTransaction(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		ev := someEvent(t, "evt_1")
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		claimed, err := webhook.NewLedger(nil, "").Claim(t.Context(), tx, ev, webhook.Processed)
		require.NoError(t, err)
		require.True(t, claimed)
		require.NoError(t, tx.Rollback())
		_, exists := ledger(t, db, "evt_1")
		require.False(t, exists, "the claim of a transaction that rolls back never was")

		txx, err := sqlx.NewDb(db, "postgres").BeginTxx(t.Context(), nil)
		require.NoError(t, err)
		claimed, err = webhook.NewLedger(nil, "").Claim(t.Context(), txx, ev, webhook.Processed)
		require.NoError(t, err)
		require.True(t, claimed)
		require.NoError(t, txx.Commit())

		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(t.Context(), "BEGIN")
		require.NoError(t, err)
		claimed, err = webhook.NewLedger(nil, "").Claim(t.Context(), conn, ev, webhook.Processed)
		require.NoError(t, err)
		require.False(t, claimed, "it is settled")
		_, err = conn.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
	})
}

// A transaction that was begun natively in pgx, joined on its *sql.Conn.
func TestClaim_NativePgxTransaction(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PGX, testdb.URL(t))
	effects(t, db)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	native := func(query string, args ...any) {
		require.NoError(t, conn.Raw(func(driverConn any) error {
			_, err := driverConn.(*stdlib.Conn).Conn().Exec(t.Context(), query, args...)
			return err
		}))
	}
	for _, end := range []string{"ROLLBACK", "COMMIT"} {
		native("BEGIN")
		native(`INSERT INTO public.effects (event_id) VALUES ($1)`, "evt_1")
		claimed, err := webhook.NewLedger(nil, "").Claim(t.Context(), conn, someEvent(t, "evt_1"), webhook.Processed)
		require.NoError(t, err)
		require.True(t, claimed)
		native(end)
	}
	require.Equal(t, 1, countEffects(t, db))
	require.Equal(t, webhook.Processed, entry(t, db, "evt_1").Outcome)
}

// The second claim waits for the first, and succeeds only if that rolls back.
func TestClaim_WaitsForAnotherClaim(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		of   func(*sql.Tx) error
		want bool
	}{{"commit", (*sql.Tx).Commit, false}, {"rollback", (*sql.Tx).Rollback, true}} {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			ev := someEvent(t, "evt_1")
			first, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
			require.NoError(t, err)
			_, err = webhook.NewLedger(nil, "").Claim(t.Context(), first, ev, webhook.Processed)
			require.NoError(t, err)
			type result struct {
				claimed bool
				err     error
			}
			second := make(chan result, 1)
			go func() {
				tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
				if err != nil {
					second <- result{err: err}
					return
				}
				defer func() { _ = tx.Rollback() }()
				claimed, err := webhook.NewLedger(nil, "").Claim(t.Context(), tx, ev, webhook.Processed)
				second <- result{claimed, err}
			}()
			eventually(t, "the second waits", func() bool {
				var waiting bool
				err := db.QueryRowContext(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock')`).Scan(&waiting)
				return err == nil && waiting
			})
			require.NoError(t, end.of(first))
			got := within(t, second, "the second claim")
			require.NoError(t, got.err)
			require.Equal(t, end.want, got.claimed)
		})
	}
}

// The receiver and a queue consumer share one ledger.
func TestClaim_Outcomes(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	claim := func(ev webhook.Event, outcome webhook.Outcome) (bool, error) {
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Commit()) }()
		return webhook.NewLedger(nil, "").Claim(t.Context(), tx, ev, outcome)
	}
	ev := someEvent(t, "evt_1")
	for _, bad := range []webhook.Outcome{webhook.Failed, webhook.Duplicate, webhook.Rejected, "", "done"} {
		_, err := claim(ev, bad)
		require.Error(t, err, bad)
	}
	_, err := claim(webhook.Event{Type: "t"}, webhook.Processed)
	require.Error(t, err, "no id")

	for _, step := range []struct {
		outcome webhook.Outcome
		claimed bool
	}{{webhook.Unmatched, true}, {webhook.Unmatched, true}, {webhook.Parked, true}, {webhook.Processed, false}} {
		claimed, err := claim(ev, step.outcome)
		require.NoError(t, err)
		require.Equal(t, step.claimed, claimed)
	}
	e := entry(t, db, "evt_1")
	require.Equal(t, webhook.Parked, e.Outcome)
	require.Equal(t, 3, e.Attempts)
	require.NotEmpty(t, e.Payload)
	require.Equal(t, done(webhook.Duplicate), send(t, newReceiver(t, db, webhook.Options{}), event("evt_1", completed)))
}

// An event made by hand needs only an id and a type.
func TestClaim_EventWithoutPayload(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	claimed, err := webhook.NewLedger(nil, "").Claim(t.Context(), tx, webhook.Event{ID: "evt_1", Type: "t"},
		webhook.Unmatched)
	require.NoError(t, err)
	require.True(t, claimed)
	require.NoError(t, tx.Commit())
	require.True(t, entry(t, db, "evt_1").Created.IsZero())
}

// instrumented is a pool wrapped by another library.
type instrumented struct{ *sql.DB }

// M27: Outside a transaction a claim would commit without its work.
func TestClaim_NoTransaction(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		dbx := sqlx.NewDb(db, "postgres")
		connx, err := dbx.Connx(t.Context())
		require.NoError(t, err)
		defer connx.Close()
		for name, q := range map[string]webhook.Querier{
			"pool": db, "sqlx pool": dbx, "wrapped pool": instrumented{db}, "connection": conn,
			"sqlx connection": connx,
		} {
			_, err := webhook.NewLedger(nil, "").Claim(t.Context(), q, someEvent(t, "evt_1"), webhook.Processed)
			require.ErrorIs(t, err, webhook.ErrNoTransaction, name)
		}
		_, exists := ledger(t, db, "evt_1")
		require.False(t, exists)
	})
}

// M1: A consumer claims events by name, also those that a replica without a handler
// ignored.
func TestClaim_ByName(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	send(t, newReceiver(t, db, webhook.Options{}), event("evt_1", completed))
	for _, name := range []string{"", "queue"} {
		for _, want := range []bool{true, false} {
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			claimed, err := webhook.NewLedger(nil, name).Claim(t.Context(), tx, someEvent(t, "evt_1"),
				webhook.Processed)
			require.NoError(t, err)
			require.Equal(t, want, claimed, name)
			require.NoError(t, tx.Commit())
		}
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = webhook.NewLedger(nil, "A name").Claim(t.Context(), tx, someEvent(t, "evt_1"), webhook.Processed)
	require.ErrorContains(t, err, "name")
}
