package migrations_test

import (
	"database/sql"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
)

func TestEachSetBringsItsTablesAndNothingElse(t *testing.T) {
	t.Parallel()
	booking := []string{
		"booking_history", "bookings", "calendar_feeds", "hold_deadlines", "hold_quota", "offers", "opening_exceptions",
		"opening_hours",
		"resources",
	}
	cases := map[migrations.Set][]string{
		migrations.Booking: booking,
		migrations.Webhook: {"payment_events"},
		migrations.Auth:    {"rate_limits", "sessions", "users"},
		migrations.Host:    {"maintenance", "schema_floor"},
		migrations.Notify:  {"messages"},
		migrations.BookingMail: append([]string{"disputes", "messages", "payment_events", "payments", "refunds"},
			booking...),
		migrations.Auth | migrations.Webhook: {"payment_events", "rate_limits", "sessions", "users"},
		migrations.Payments: append([]string{"disputes", "payment_events", "payments", "refunds"},
			booking...),
	}
	for set, want := range cases {
		t.Run(set.String(), func(t *testing.T) {
			t.Parallel()
			db := testdb.Empty(t)
			require.ErrorIs(t, migrations.Check(t.Context(), db, set), migrations.ErrPending)
			applied, err := migrations.Up(t.Context(), db, set)
			require.NoError(t, err)
			require.NotEmpty(t, applied)
			require.ElementsMatch(t, want, tables(t, db))
			require.NoError(t, migrations.Check(t.Context(), db, set))

			again, err := migrations.Up(t.Context(), db, set)
			require.NoError(t, err)
			require.Empty(t, again)
		})
	}
}

// A file that does not record its version would never count as applied.
func TestStatusFollowsUp(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	before, err := migrations.Status(t.Context(), db, migrations.All)
	require.NoError(t, err)
	for _, m := range before {
		require.False(t, m.Applied, m.File)
	}
	var schemas int
	require.NoError(t,
		db.QueryRow(`SELECT count(*) FROM pg_namespace WHERE nspname = 'booking_platform'`).Scan(&schemas))
	require.Zero(t, schemas, "Status writes nothing")

	applied, err := migrations.Up(t.Context(), db, migrations.All)
	require.NoError(t, err)
	after, err := migrations.Status(t.Context(), db, migrations.All)
	require.NoError(t, err)
	require.Equal(t, applied, after)
}

func TestThreeHostsAtOnceApplyEachFileOnce(t *testing.T) {
	t.Parallel()
	t.Run("two connections", func(t *testing.T) { t.Parallel(); threeHosts(t, testdb.EmptyURL(t), 2) })
	t.Run("one connection", func(t *testing.T) {
		t.Parallel()
		threeHosts(t, testdb.Direct(t, testdb.EmptyURL(t), "with one connection the lock is the session's"), 1)
	})
}

func threeHosts(t *testing.T, url string, connections int) {
	t.Helper()
	var wg sync.WaitGroup
	results := make([][]migrations.Migration, 3)
	errs := make([]error, 3)
	for i := range results {
		db := testdb.Open(t, testdb.PQ, url)
		db.SetMaxOpenConns(connections)
		wg.Go(func() { results[i], errs[i] = migrations.Up(t.Context(), db, migrations.All) })
	}
	wg.Wait()
	seen := map[string]int{}
	for i := range results {
		require.NoError(t, errs[i])
		for _, m := range results[i] {
			seen[m.File]++
		}
	}
	all, err := migrations.Status(t.Context(), testdb.Open(t, testdb.PQ, url), migrations.All)
	require.NoError(t, err)
	require.Len(t, seen, len(all))
	for _, m := range all {
		require.True(t, m.Applied, m.File)
		require.Equal(t, 1, seen[m.File], m.File)
	}
}

func filesOf(t *testing.T, set string) int {
	t.Helper()
	entries, err := fs.ReadDir(migrations.FS(), set)
	require.NoError(t, err)
	return len(entries)
}

func TestFailureLeavesNothingAndNamesFileStatementAndState(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	broken := copyOf(t, migrations.FS())
	broken["webhook/90000_broken.sql"] = &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE booking_platform.half_done (id bigint);
INSERT INTO booking_platform.half_done (id) VALUES (1);
INSERT INTO booking_platform.no_such_table (id) VALUES (2);
CREATE TABLE booking_platform.never_reached (id bigint);
`)}
	applied, err := migrations.UpFrom(t.Context(), db, broken, migrations.Webhook)
	var failed *migrations.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "webhook/90000_broken.sql", failed.File)
	require.Equal(t, "42P01", failed.SQLState)
	require.Contains(t, failed.Statement, "no_such_table")
	for _, want := range []string{"webhook/90000_broken.sql", "42P01", "INSERT INTO booking_platform.no_such_table"} {
		require.Contains(t, err.Error(), want)
	}
	require.Len(t, applied, filesOf(t, "webhook"), "the files before it stay")
	require.Equal(t, []string{"payment_events"}, tables(t, db))

	// The same call continues once the cause is removed.
	require.False(t, failed.Partial)
	require.Contains(t, err.Error(), "was rolled back")
	broken["webhook/90000_broken.sql"].Data = []byte("-- +goose Up\nCREATE TABLE booking_platform.mended (id bigint);\n")
	applied, err = migrations.UpFrom(t.Context(), db, broken, migrations.Webhook)
	require.NoError(t, err)
	require.Len(t, applied, 1)
}

// A migration under traffic gives up its lock instead of queueing every request.
func TestLockIsGivenUp(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	_, err := migrations.Up(t.Context(), db, migrations.Webhook)
	require.NoError(t, err)
	reader, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = reader.Rollback() }()
	_, err = reader.ExecContext(t.Context(), `SELECT stripe_event_id FROM booking_platform.payment_events`)
	require.NoError(t, err)

	next := copyOf(t, migrations.FS())
	next["webhook/90000_add.sql"] = &fstest.MapFile{Data: []byte(`-- +goose Up
SET LOCAL lock_timeout = '50ms';
ALTER TABLE booking_platform.payment_events ADD COLUMN note text;
`)}
	_, err = migrations.UpFrom(t.Context(), db, next, migrations.Webhook)
	var failed *migrations.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "55P03", failed.SQLState)
	require.NoError(t, reader.Commit())
	_, err = migrations.UpFrom(t.Context(), db, next, migrations.Webhook)
	require.NoError(t, err)
}

func TestEveryFileSetsALockTimeout(t *testing.T) {
	t.Parallel()
	for name, f := range copyOf(t, migrations.FS()) {
		want := "SET LOCAL lock_timeout"
		if transactional := !strings.Contains(string(f.Data), "+goose NO TRANSACTION"); transactional {
			// M10: every tool that applies it, under any default isolation.
			require.Contains(t, string(f.Data), "SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;", name)
		}
		if strings.Contains(string(f.Data), "+goose NO TRANSACTION") {
			want = "SET lock_timeout"
			require.Contains(t, string(f.Data), "RESET lock_timeout", name)
		}
		require.Contains(t, string(f.Data), want, name)
		require.NotContains(t, string(f.Data), "+goose Down",
			"%s: we add, backfill, switch and drop later; nothing goes down", name)
	}
}

func TestBesideForeignTablesAndAForeignGoose(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	foreign := fstest.MapFS{"00001_theirs.sql": &fstest.MapFile{Data: []byte(`-- +goose Up
CREATE TABLE users (id bigint PRIMARY KEY);
CREATE TABLE sessions (id bigint PRIMARY KEY);
CREATE TABLE payments (id bigint PRIMARY KEY);
CREATE TABLE bookings (id bigint PRIMARY KEY);
INSERT INTO users (id) VALUES (7);
`)}}
	theirs, err := goose.NewProvider(goose.DialectPostgres, db, foreign)
	require.NoError(t, err)
	_, err = theirs.Up(t.Context())
	require.NoError(t, err)

	applied, err := migrations.Up(t.Context(), db, migrations.All)
	require.NoError(t, err)
	all, err := fs.Glob(migrations.FS(), "*/*.sql")
	require.NoError(t, err)
	require.Len(t, applied, len(all), "the foreign goose's versions are not ours")

	foreign["00002_theirs.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE users ADD COLUMN name text;\n")}
	theirs, err = goose.NewProvider(goose.DialectPostgres, db, foreign)
	require.NoError(t, err)
	results, err := theirs.Up(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 1, "our versions are not the foreign goose's")
	var id int64
	require.NoError(t, db.QueryRow(`SELECT id FROM public.users`).Scan(&id))
	require.EqualValues(t, 7, id)
}

// An embedder's own migration tool may hold goose's lock while it calls Up.
func TestForeignGooseLockIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.EmptyURL(t), "goose's lock is the session's"))
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	const gooseDefaultLock = 4097083626
	_, err = conn.ExecContext(t.Context(), `SELECT pg_advisory_lock($1)`, gooseDefaultLock)
	require.NoError(t, err)
	_, err = migrations.Up(t.Context(), db, migrations.All)
	require.NoError(t, err)
}

func TestCheckMissesTheConstraintAndAcceptsANewerSchema(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := db.Exec(`UPDATE booking_platform.schema_versions SET version = version + 1`)
	require.NoError(t, err)
	require.NoError(t, migrations.Check(t.Context(), db, migrations.All), "a newer schema serves an older binary")

	_, err = db.Exec(`DROP EXTENSION btree_gist CASCADE`)
	require.NoError(t, err)
	err = migrations.Check(t.Context(), db, migrations.All)
	require.ErrorIs(t, err, migrations.ErrPending)
	require.ErrorContains(t, err, "bookings_no_overlap")
	require.NoError(t, migrations.Check(t.Context(), db, migrations.Webhook), "the ledger does not need it")
}

// A role that may not create a schema is told what a superuser has to run; then it works.
func TestRoleWithoutRights(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.EmptyURL(t), "SET ROLE is the session's"))
	// One connection, so that SET ROLE holds for all that follows.
	db.SetMaxOpenConns(1)
	var superuser bool
	require.NoError(t, db.QueryRow(`SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&superuser))
	exec := func(q string) {
		t.Helper()
		_, err := db.Exec(q)
		require.NoError(t, err, q)
	}
	revoke, grant := `SET ROLE pg_monitor`, `RESET ROLE`
	role := "pg_monitor"
	if !superuser {
		require.NoError(t, db.QueryRow(`SELECT quote_ident(current_user)`).Scan(&role))
		var name string
		require.NoError(t, db.QueryRow(`SELECT quote_ident(current_database())`).Scan(&name))
		revoke = `REVOKE CREATE ON DATABASE ` + name + ` FROM ` + role
		grant = `GRANT CREATE ON DATABASE ` + name + ` TO ` + role
	}
	exec(revoke)
	_, err := migrations.Up(t.Context(), db, migrations.All)
	var failed *migrations.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "42501", failed.SQLState)
	require.ErrorContains(t, err, "CREATE SCHEMA booking_platform AUTHORIZATION")

	exec(grant)
	exec(`CREATE SCHEMA booking_platform AUTHORIZATION ` + role)
	exec(`CREATE EXTENSION btree_gist SCHEMA public`)
	exec(revoke)
	_, err = migrations.Up(t.Context(), db, migrations.All)
	require.NoError(t, err)
}

// A schema of another role has another remedy.
func TestRoleWithoutRightsInTheSchema(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, testdb.EmptyURL(t), "SET ROLE is the session's"))
	// One connection, so that SET ROLE holds for all that follows.
	db.SetMaxOpenConns(1)
	exec := func(q string) {
		t.Helper()
		_, err := db.Exec(q)
		require.NoError(t, err, q)
	}
	var superuser bool
	require.NoError(t, db.QueryRow(`SELECT rolsuper FROM pg_roles WHERE rolname = current_user`).Scan(&superuser))
	revoke, grant := `SET ROLE pg_monitor`, `RESET ROLE`
	exec(`CREATE SCHEMA booking_platform`)
	if superuser {
		exec(`GRANT USAGE ON SCHEMA booking_platform TO pg_monitor`)
	} else {
		revoke = `REVOKE CREATE ON SCHEMA booking_platform FROM CURRENT_USER`
		grant = `GRANT CREATE ON SCHEMA booking_platform TO CURRENT_USER`
	}
	exec(revoke)
	_, err := migrations.Up(t.Context(), db, migrations.Webhook)
	var failed *migrations.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "webhook", failed.File)
	require.Equal(t, "42501", failed.SQLState)
	require.ErrorContains(t, err, "ALTER SCHEMA booking_platform OWNER TO")
	require.NotContains(t, err.Error(), "CREATE SCHEMA", "it is there")

	exec(grant)
	_, err = migrations.Up(t.Context(), db, migrations.Webhook)
	require.NoError(t, err)
}

// In a schema that no search_path of ours names.
func TestExtensionInAnotherSchema(t *testing.T) {
	t.Parallel()
	db := testdb.Empty(t)
	_, err := db.Exec(`CREATE SCHEMA extensions; CREATE EXTENSION btree_gist SCHEMA extensions`)
	require.NoError(t, err)
	_, err = migrations.Up(t.Context(), db, migrations.Booking)
	require.NoError(t, err)
	require.NoError(t, migrations.Check(t.Context(), db, migrations.Booking))
}

func tables(t *testing.T, db *sql.DB) []string {
	t.Helper()
	rows, err := db.Query(`SELECT tablename FROM pg_tables WHERE schemaname = 'booking_platform'
		AND tablename NOT LIKE 'goose\_%' AND tablename <> 'schema_versions' ORDER BY tablename`)
	require.NoError(t, err)
	defer rows.Close()
	var out []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		out = append(out, name)
	}
	require.NoError(t, rows.Err())
	return out
}

func copyOf(t *testing.T, source fs.FS) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	err := fs.WalkDir(source, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(source, path)
		out[path] = &fstest.MapFile{Data: data}
		return err
	})
	require.NoError(t, err)
	return out
}

func TestMain(m *testing.M) { testdb.Main(m) }
