package webhook_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/testdb"
	"github.com/booking-platform/booking-platform/webhook"
)

const preparedStatements = `SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%public.effects%' OR statement LIKE '%booking_platform.%'`

// The receiver's statements and its handlers' are prepared, with a pool of one connection
// too, and not without end.
func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	testdb.EachDriverDirect(t, "a prepared statement is the session's", func(t *testing.T, db *sql.DB) {
		db.SetMaxOpenConns(1)
		effects(t, db)
		r := newReceiver(t, db, webhook.Options{Prepare: true})
		r.Handle(completed, func(ctx context.Context, tx webhook.Tx, ev webhook.Event) (webhook.Outcome, error) {
			// One that cannot be prepared, because it is new each time and there are too
			// many, and one whose table is not there outside of this.
			if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE mine (id text) ON COMMIT DROP`); err != nil {
				return "", err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO mine SELECT '`+ev.ID+`' FROM public.effects`); err != nil {
				return "", err
			}
			rows, err := tx.QueryxContext(ctx, `INSERT INTO mine VALUES ($1::text) RETURNING id`, ev.ID)
			if err != nil {
				return "", err
			}
			if err := rows.Close(); err != nil {
				return "", err
			}
			var n int
			if err := tx.QueryRowxContext(ctx, `SELECT count(*) FROM public.effects`).Scan(&n); err != nil {
				return "", err
			}
			return effect(ctx, tx, ev)
		})
		for n := range 120 {
			require.Equal(t, done(webhook.Processed), send(t, r, event(fmt.Sprintf("evt_%d", n), completed)))
		}
		require.Equal(t, 120, countEffects(t, db))
		prepared := 0
		require.NoError(t, db.QueryRowContext(t.Context(), preparedStatements).Scan(&prepared))
		require.GreaterOrEqual(t, prepared, 3)
		require.LessOrEqual(t, prepared, 100)

		// The connection is given up, and another one knows nothing.
		db.SetMaxIdleConns(0)
		db.SetMaxIdleConns(1)
		require.Equal(t, done(webhook.Processed), send(t, r, event("evt_new", completed)))
	})
}
