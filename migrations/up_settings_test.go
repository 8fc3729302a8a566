package migrations_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
)

// withDefaults is an empty database with these settings, as database and role defaults.
func withDefaults(t *testing.T, settings ...string) string {
	t.Helper()
	url := testdb.Direct(t, testdb.EmptyURL(t), "settings of the role reach new sessions only")
	db := testdb.Open(t, testdb.PQ, url)
	for _, setting := range settings {
		_, err := db.ExecContext(t.Context(), `DO $$ BEGIN
			EXECUTE format('ALTER DATABASE %I SET `+setting+`', current_database());
			EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET `+setting+`', current_database());
		END $$`)
		require.NoError(t, err, setting)
	}
	return url
}

// M10: the transaction that holds the lock kept a snapshot above READ COMMITTED, for
// which CREATE INDEX CONCURRENTLY waits.
func TestUp_DefaultIsolation(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"serializable", "repeatable read", "read uncommitted"} {
		for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
			for name, connections := range map[string]int{"one connection": 1, "two connections": 2} {
				t.Run(isolation+", "+string(driver)+", "+name, func(t *testing.T) {
					t.Parallel()
					db := testdb.Open(t, driver, withDefaults(t, "default_transaction_isolation = ''"+isolation+"''"))
					db.SetMaxOpenConns(connections)
					files := withIndexes(t)
					files[indexesFile].Data = []byte(strings.Replace(string(files[indexesFile].Data), "'2min'", "'10s'",
						1))
					applied, err := migrations.UpFrom(t.Context(), db, files, migrations.All)
					require.NoError(t, err)
					require.Len(t, applied, len(files))
					require.Zero(t, number(t, db, invalidSQL))
					require.NoError(t, migrations.Check(t.Context(), db, migrations.All))
					var still string
					require.NoError(t, db.QueryRowContext(t.Context(),
						`SHOW default_transaction_isolation`).Scan(&still))
					require.Equal(t, isolation, still, "the session is the caller's again")
				})
			}
		}
	}
}

// M10: hosts that start at once take turns where the default is SERIALIZABLE.
func TestUp_DefaultIsolation_HostsAtOnce(t *testing.T) {
	t.Parallel()
	threeHosts(t, withDefaults(t, "default_transaction_isolation = serializable"), 2)
}

// M10: what else a role may have as its default and a file runs into.
func TestUp_OtherDefaults(t *testing.T) {
	t.Parallel()
	for _, driver := range []testdb.Driver{testdb.PQ, testdb.PQBinary, testdb.PGX, testdb.PGXSimple} {
		t.Run(string(driver), func(t *testing.T) {
			t.Parallel()
			db := testdb.Open(t, driver, withDefaults(t,
				"search_path = ''pg_temp''", "row_security = off", "timezone = ''Asia/Kolkata''",
				"datestyle = ''SQL, DMY''",
				"intervalstyle = ''sql_standard''", "bytea_output = ''escape''", "extra_float_digits = -15",
				"default_transaction_deferrable = on",
				"idle_in_transaction_session_timeout = ''1s''", "lock_timeout = ''1s''", "default_tablespace = ''''",
			))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			files := withIndexes(t)
			// Longer than the limit on idle transactions that the lock's would hit.
			files[indexesFile].Data = []byte(strings.Replace(string(files[indexesFile].Data), "DROP INDEX",
				"SELECT pg_sleep(1.5);\nDROP INDEX", 1))
			_, err := migrations.UpFrom(ctx, db, files, migrations.All)
			require.NoError(t, err)
			require.NoError(t, migrations.Check(ctx, db, migrations.All))
		})
	}
}
