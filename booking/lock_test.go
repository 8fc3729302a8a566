package booking_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Whoever has locked a booking decides on what it saw: everyone else waits, and then sees
// what was decided.
func TestLock(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		b := hold(t, store, request(slot(0)))
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		for _, unknown := range []string{"nonsense", "019a2b3c-0000-7000-8000-000000000000"} {
			_, err = store.Tx(tx).Lock(t.Context(), unknown)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		locked, err := store.Tx(tx).Lock(t.Context(), b.ID)
		require.NoError(t, err)
		require.Equal(t, b, locked)
		answer := make(chan error)
		go func() {
			_, err := store.Confirm(t.Context(), b.ID)
			answer <- err
		}()
		waitForLock(t, db)
		_, err = store.Tx(tx).Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "decided"})
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		require.ErrorAs(t, <-answer, new(*booking.StatusError))
	})
}

func TestExpire(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	held := hold(t, store, keyed(slot(0)))
	confirmed := hold(t, store, request(slot(1)))
	_, err := store.Confirm(t.Context(), confirmed.ID)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for range 2 {
		expired, err := store.Tx(tx).Expire(t.Context(), held.ID)
		require.NoError(t, err)
		require.Equal(t, booking.Expired, expired.Status)
		require.Equal(t, "key", expired.IdempotencyKey)
	}
	_, err = store.Tx(tx).Expire(t.Context(), confirmed.ID)
	require.ErrorAs(t, err, new(*booking.StatusError))
	_, err = store.Tx(tx).Expire(t.Context(), "nonsense")
	require.ErrorIs(t, err, booking.ErrNotFound)
	require.NoError(t, tx.Commit())
	hold(t, store, request(slot(0)))
}
