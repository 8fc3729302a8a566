package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

type stateError string

func (e stateError) Error() string    { return string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestIsRetryable_SQLState(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		stateError("40001"): true, stateError("40P01"): true, stateError("23505"): false,
		booking.ErrSlotTaken: false, errors.New("40001"): false,
	} {
		require.Equal(t, want, booking.IsRetryable(fmt.Errorf("wrapped: %w", err)), "%v", err)
	}
	require.False(t, booking.IsRetryable(nil))
}

// The context's error can be found whatever the driver returns.
func TestErrors_ContextDone(t *testing.T) {
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

func TestWithProblems(t *testing.T) {
	t.Parallel()
	given := map[string]string{"start": "must be a time"}
	var all *booking.ValidationError
	found := &booking.ValidationError{Fields: map[string]string{"start": "is required", "email": "is required"}}
	require.ErrorAs(t, booking.WithProblems(found, given), &all)
	require.Equal(t, map[string]string{"start": "must be a time", "email": "is required"}, all.Fields)
	require.ErrorAs(t, booking.WithProblems(nil, given), &all)
	require.Equal(t, given, all.Fields)
	require.ErrorIs(t, booking.WithProblems(booking.ErrNotFound, given), booking.ErrNotFound)
	require.NoError(t, booking.WithProblems(nil, nil))
}
