package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Tables that grow without bound are vacuumed by a small share of dead or new rows, not by
// a fifth.
func TestAutovacuum_LargeTables(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	rows, err := db.QueryContext(t.Context(), `
		SELECT c.relname, min(o.option_value::float)
		FROM pg_class c CROSS JOIN LATERAL pg_options_to_table(c.reloptions) o
		WHERE c.relnamespace = 'booking_platform'::regnamespace
			AND o.option_name IN ('autovacuum_vacuum_scale_factor', 'autovacuum_vacuum_insert_scale_factor')
		GROUP BY c.relname`)
	require.NoError(t, err)
	defer rows.Close()
	found := map[string]float64{}
	for rows.Next() {
		var table string
		var share float64
		require.NoError(t, rows.Scan(&table, &share))
		found[table] = share
	}
	require.NoError(t, rows.Err())
	require.Equal(t, map[string]float64{
		"bookings": 0.02, "booking_history": 0.05, "hold_deadlines": 0.05, "hold_quota": 0.05,
		"payments": 0.02, "refunds": 0.05, "payment_events": 0.01,
	}, found)
}
