package migrations_test

import (
	"database/sql"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
)

const indexesFile = "booking/90000_index.sql"

// withIndexes adds a file that builds an index concurrently, as a later release may.
func withIndexes(t *testing.T) fstest.MapFS {
	t.Helper()
	files := copyOf(t, migrations.FS())
	files[indexesFile] = &fstest.MapFile{Data: []byte(`-- +goose NO TRANSACTION
-- +goose Up
SET lock_timeout = '2min';
SET statement_timeout = 0;

DROP INDEX CONCURRENTLY IF EXISTS booking_platform.bookings_by_party;
CREATE INDEX CONCURRENTLY bookings_by_party ON booking_platform.bookings (party, id);

RESET statement_timeout;
RESET lock_timeout;

INSERT INTO booking_platform.schema_versions (set_name, version) VALUES ('booking', 90000)
ON CONFLICT (set_name) DO UPDATE SET version = GREATEST(booking_platform.schema_versions.version, EXCLUDED.version);
`)}
	return files
}

const addResourceSQL = `
INSERT INTO booking_platform.resources (
    id, slug, name, time_zone, capacity, slot_seconds, step_seconds, horizon_seconds, hold_seconds, price_minor, currency
) VALUES (gen_random_uuid(), 'court', 'Court', 'Europe/Paris', 1, 3600, 3600, 86400, 1800, 2500, 'eur')`

const addBookingSQL = `
INSERT INTO booking_platform.bookings (id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency)
SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'pending', statement_timestamp(), 0, 'eur'
FROM booking_platform.resources r, tstzrange('2030-01-01Z', '2030-01-01T01:00Z', '[)') AS s`

const (
	invalidSQL  = `SELECT count(*) FROM pg_index WHERE NOT indisvalid`
	builtSQL    = `SELECT count(*) FROM pg_class WHERE relname = 'bookings_by_party'`
	versionSQL  = `SELECT version FROM booking_platform.schema_versions WHERE set_name = 'booking'`
	settingsSQL = `SELECT current_setting('lock_timeout') || ' ' || current_setting('statement_timeout')`
)

func number(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func settings(t *testing.T, db *sql.DB) (s string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), settingsSQL).Scan(&s))
	return s
}

// openReader is a transaction such as a dump's: an index build waits for its end.
func openReader(t *testing.T, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	var n int
	require.NoError(t, tx.QueryRowContext(t.Context(), `SELECT count(*) FROM booking_platform.bookings`).Scan(&n))
	return tx
}

// Bookings are made while an index build waits for an old transaction.
func TestTrafficGoesOnWhileIndexesAreBuilt(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	db := testdb.Open(t, testdb.PQ, url)
	_, err := migrations.Up(t.Context(), db, migrations.Booking)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), addResourceSQL)
	require.NoError(t, err)
	reader := openReader(t, db)

	done := make(chan error, 1)
	go func() {
		_, err := migrations.UpFrom(t.Context(), testdb.Open(t, testdb.PQ, url), withIndexes(t), migrations.Booking)
		done <- err
	}()
	require.Eventually(t, func() bool {
		return number(t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND query LIKE '%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'`) == 1
	}, time.Minute, 10*time.Millisecond)

	writer, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = writer.Rollback() }()
	for _, statement := range []string{
		`SET LOCAL lock_timeout = '2s'`, addBookingSQL,
		`UPDATE booking_platform.bookings SET status = 'confirmed'`,
		`UPDATE booking_platform.resources SET name = 'Other'`,
	} {
		_, err = writer.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	require.NoError(t, writer.Commit())
	require.Empty(t, done, "it still waits for the reader")
	require.NoError(t, reader.Commit())
	require.NoError(t, <-done)
	require.Equal(t, 1, number(t, db, builtSQL))
	require.Equal(t, 90000, number(t, db, versionSQL))
	require.Zero(t, number(t, db, invalidSQL))
	require.Zero(t, number(t, db, `SELECT count(*) FROM pg_constraint WHERE NOT convalidated`))
	require.NoError(t, migrations.Check(t.Context(), db, migrations.Booking))
}

// A build that failed half-way is reported as partial, keeps version and session
// settings, and is begun again.
func TestFailedBuildOfAnIndexIsRepeated(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, full *sql.DB) {
		version := number(t, full, versionSQL)
		reader := openReader(t, full)
		// One of them is the reader's.
		full.SetMaxOpenConns(3)
		impatient := withIndexes(t)
		impatient[indexesFile].Data = []byte(strings.Replace(string(impatient[indexesFile].Data), "'2min'", "'100ms'",
			1))
		was := settings(t, full)

		applied, err := migrations.UpFrom(t.Context(), full, impatient, migrations.Booking)
		require.Empty(t, applied)
		var failed *migrations.Error
		require.ErrorAs(t, err, &failed)
		require.Equal(t, indexesFile, failed.File)
		require.Equal(t, "55P03", failed.SQLState)
		require.Contains(t, failed.Statement, "CREATE INDEX CONCURRENTLY bookings_by_party")
		require.True(t, failed.Partial)
		require.Contains(t, err.Error(), "can be repeated")
		require.Equal(t, 1, number(t, full, invalidSQL), "it left an index that is not built")
		require.Equal(t, was, settings(t, full), "the session is the caller's again")
		require.Equal(t, version, number(t, full, versionSQL), "the file does not count as applied")

		require.NoError(t, reader.Commit())
		applied, err = migrations.UpFrom(t.Context(), full, impatient, migrations.Booking)
		require.NoError(t, err)
		require.Len(t, applied, 1)
		require.Zero(t, number(t, full, invalidSQL))
		require.Equal(t, 1, number(t, full, builtSQL))
		require.Equal(t, 90000, number(t, full, versionSQL))
		require.Equal(t, was, settings(t, full))
		require.NoError(t, migrations.Check(t.Context(), full, migrations.Booking))
	})
}

// A statement that waits for the lock of a host that builds an index makes that host wait
// too, for ever. So the schema is made without that lock.
func TestSchemaIsMadeWithoutTheLockOfTheBuild(t *testing.T) {
	t.Parallel()
	url := testdb.EmptyURL(t)
	// Older programs take the session's lock: each waits for the other's.
	db := testdb.Open(t, testdb.PQ, testdb.Direct(t, url, "the builder's lock is the session's"))
	builder, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer builder.Close()
	_, err = builder.ExecContext(t.Context(), `SELECT pg_advisory_lock($1::bigint)`, migrations.LockID)
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() {
		_, err := migrations.Up(t.Context(), testdb.Open(t, testdb.PQ, url), migrations.Booking)
		done <- err
	}()
	require.Eventually(t, func() bool {
		return number(t, db, `SELECT count(*) FROM pg_namespace WHERE nspname = 'booking_platform'`) == 1
	}, time.Minute, 10*time.Millisecond)
	require.Zero(t, number(t, db, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`),
		"no statement waits")
	_, err = builder.ExecContext(t.Context(), `SELECT pg_advisory_unlock($1::bigint)`, migrations.LockID)
	require.NoError(t, err)
	require.NoError(t, <-done)
}
