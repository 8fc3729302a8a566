package booking_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Of several bookings those are confirmed that are holds; the others are left as they
// are, and the one that somebody has locked is not waited for.
func TestConfirmSeveral(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		plain, other := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
		lapsed, twice, locked, released := hold(t, store, request(slot(2))), hold(t, store, request(slot(3))),
			hold(t, store, request(slot(4))), hold(t, store, request(slot(5)))
		lapse(t, db, lapsed.ID)
		_, err := store.Release(t.Context(), released.ID)
		require.NoError(t, err)
		somebody, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = somebody.Rollback() }()
		_, err = store.Tx(somebody).Lock(t.Context(), locked.ID)
		require.NoError(t, err)

		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		var wanted []booking.Confirmation
		for _, id := range []string{plain.ID, strings.ToUpper(other.ID), lapsed.ID, twice.ID, strings.ToUpper(twice.ID),
			locked.ID, released.ID, "no id", "00000000-0000-7000-8000-000000000001"} {
			wanted = append(wanted, booking.Confirmation{ID: id, Actor: "stripe:evt_" + id})
		}
		confirmed, err := store.Tx(tx).ConfirmSeveral(t.Context(), wanted)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{plain.ID, other.ID}, confirmed)
		require.NoError(t, tx.Commit())
		require.NoError(t, somebody.Rollback())
		changes, err := store.History(t.Context(), plain.ID)
		require.NoError(t, err)
		require.Equal(t, "stripe:evt_"+plain.ID, changes[len(changes)-1].Actor)
		for _, b := range []booking.Booking{lapsed, twice, locked} {
			got, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, booking.Pending, got.Status)
		}
		requireHistory(t, db)
	})
}
