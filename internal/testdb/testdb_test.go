package testdb_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/migrations"
)

func TestEveryDriverGetsAMigratedClone(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		require.NoError(t, migrations.Check(t.Context(), db, migrations.All))
	})
}
