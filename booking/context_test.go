package booking_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// A context that ends is found in the error, whatever the driver made of it.
func TestContextThatEnds(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error)
		go func() {
			_, err := store.Hold(ctx, request(slot(0)))
			answer <- err
		}()
		waitForLock(t, db)
		cancel()
		err = <-answer
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, booking.IsRetryable(err))
		require.NoError(t, tx.Rollback())
	})
}
