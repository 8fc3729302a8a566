package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A host on a schema that is one release newer starts; on one that is two releases newer
// neither the host nor its migrations do, and doctor says so.
func TestFloor_TwoReleasesBelow(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": testdb.URL(t), "SESSION_SECRET": oldSecret, "DATA_DIR": t.TempDir(),
		"METRICS_ADDR": "off", "PORT": "0"}
	h := startHost(t, env)
	execute(t, h.DB(), `UPDATE booking_platform.schema_versions SET version = version + 2 WHERE set_name = 'payments'`)
	execute(t, h.DB(), `INSERT INTO booking_platform.schema_floor (set_name, version)
		SELECT set_name, version - 2 FROM booking_platform.schema_versions WHERE set_name = 'payments'`)
	status, stdout, stderr := command(t, env, "migrate", "up")
	require.Equal(t, 0, status, stdout+stderr)
	_, stdout, _ = command(t, env, "doctor")
	require.Contains(t, stdout, "warning  schema-newer")

	execute(t, h.DB(), `UPDATE booking_platform.schema_floor SET version = version + 1`)
	status, _, stderr = command(t, env, "migrate", "up")
	require.Equal(t, 1, status)
	require.Contains(t, stderr, "the schema is two releases newer than this program")
	_, err := host.Start(t.Context(), env, &logBook{})
	require.ErrorContains(t, err, "start a newer version")
	_, stdout, _ = command(t, env, "doctor")
	require.Contains(t, stdout, "problem  schema-newer")
}

// The floor only rises: an older host that starts beside a newer one does not lower it.
func TestFloor_OnlyRises(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	for _, version := range []int{3, 2} {
		_, err := db.Exec(host.RaiseSQL, "booking", version)
		require.NoError(t, err)
	}
	var version int
	require.NoError(t, db.QueryRow(`SELECT version FROM booking_platform.schema_floor`).Scan(&version))
	require.Equal(t, 3, version)
}
