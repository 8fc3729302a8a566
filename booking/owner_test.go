package booking_test

import (
	"database/sql"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

var secrets = []string{strings.Repeat("first ", 6), strings.Repeat("second ", 6)}

// owning returns a store with secrets for owner tokens.
func owning(t testing.TB, db *sql.DB, secrets ...string) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{OwnerSecrets: secrets})
	require.NoError(t, err)
	return store
}

func TestOwnerToken(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := owning(t, db, secrets...)
		create(t, store, func(r *booking.Resource) { r.Capacity = 5 })
		held := hold(t, store, keyed(slot(0)))
		require.Len(t, held.OwnerToken, 43)
		require.Equal(t, held, hold(t, store, keyed(slot(0))), "a repeat tells it again")
		stored, err := store.Get(t.Context(), held.ID)
		require.NoError(t, err)
		require.Empty(t, stored.OwnerToken)
		owned, err := store.Owned(t.Context(), strings.ToUpper(held.ID), held.OwnerToken)
		require.NoError(t, err)
		require.Equal(t, stored, owned)
		told, err := store.WithOwnerToken(t.Context(), strings.ToUpper(held.ID))
		require.NoError(t, err)
		require.Equal(t, held, told)
		for _, nowhere := range []string{"019a2b3c-0000-7000-8000-000000000000", "no id", ""} {
			_, err := store.WithOwnerToken(t.Context(), nowhere)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings b WHERE b::text LIKE '%' || $1::text || '%'`, held.OwnerToken))

		other := hold(t, store, request(slot(0)))
		require.NotEqual(t, held.OwnerToken, other.OwnerToken)
		for _, wrong := range []struct{ id, token string }{
			{held.ID, other.OwnerToken}, {held.ID, ""}, {held.ID, held.OwnerToken + "A"}, {held.ID, held.OwnerToken[:42]},
			{held.ID, strings.ToLower(held.OwnerToken)}, {"019a2b3c-0000-7000-8000-000000000000", held.OwnerToken}, {"", held.OwnerToken}, {"no id", ""},
		} {
			_, err := store.Owned(t.Context(), wrong.id, wrong.token)
			require.ErrorIs(t, err, booking.ErrNotFound)
			require.EqualError(t, err, "booking: owned: not found")
		}

		// Renewed, the old link is dead, and the repeat tells the new one.
		token, err := store.RenewOwnerToken(t.Context(), held.ID)
		require.NoError(t, err)
		require.NotEqual(t, held.OwnerToken, token)
		_, err = store.Owned(t.Context(), held.ID, held.OwnerToken)
		require.ErrorIs(t, err, booking.ErrNotFound)
		owned, err = store.Owned(t.Context(), held.ID, token)
		require.NoError(t, err)
		require.Equal(t, stored, owned)
		require.Equal(t, token, hold(t, store, keyed(slot(0))).OwnerToken)
		_, err = store.RenewOwnerToken(t.Context(), "019a2b3c-0000-7000-8000-000000000000")
		require.ErrorIs(t, err, booking.ErrNotFound)
		_, err = store.RenewOwnerToken(t.Context(), "no id")
		require.ErrorIs(t, err, booking.ErrNotFound)
	})
}

// Secrets are changed by putting a new one in front: links stay good, also when the old one is gone.
func TestOwnerTokenWhenSecretsChange(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	before := owning(t, db, secrets[0])
	create(t, before)
	held := hold(t, before, keyed(slot(0)))
	during := owning(t, db, secrets[1], secrets[0])
	require.Equal(t, held.OwnerToken, hold(t, during, keyed(slot(0))).OwnerToken)
	after := owning(t, db, secrets[1])
	require.Empty(t, hold(t, after, keyed(slot(0))).OwnerToken, "nobody can tell it any more")
	for _, store := range []*booking.Store{before, during, after, newStore(t, db)} {
		_, err := store.Owned(t.Context(), held.ID, held.OwnerToken)
		require.NoError(t, err)
	}
	token, err := during.RenewOwnerToken(t.Context(), held.ID)
	require.NoError(t, err)
	require.Equal(t, token, hold(t, after, keyed(slot(0))).OwnerToken)
}

// Without secrets there are no tokens, and a booking without one is nobody's.
func TestBookingWithoutOwnerToken(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	held := hold(t, store, keyed(slot(0)))
	require.Empty(t, held.OwnerToken)
	with := owning(t, db, secrets...)
	require.Empty(t, hold(t, with, keyed(slot(0))).OwnerToken)
	for _, s := range []*booking.Store{store, with} {
		told, err := s.WithOwnerToken(t.Context(), held.ID)
		require.NoError(t, err)
		require.Empty(t, told.OwnerToken)
		_, err = s.Owned(t.Context(), held.ID, "")
		require.ErrorIs(t, err, booking.ErrNotFound)
	}
	_, err := store.RenewOwnerToken(t.Context(), held.ID)
	require.EqualError(t, err, "booking: renew owner token: no owner secrets")
	token, err := with.RenewOwnerToken(t.Context(), held.ID)
	require.NoError(t, err)
	_, err = store.Owned(t.Context(), held.ID, token)
	require.NoError(t, err, "its first")
}

// Of many renewals at once exactly one token is good in the end.
func TestOwnerTokenRenewedAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := owning(t, db, secrets...)
	create(t, store)
	held := hold(t, store, request(slot(0)))
	var mu sync.Mutex
	tokens := map[string]bool{held.OwnerToken: true}
	for _, err := range atOnce(t, db, 8, func(*booking.Store, int) error {
		token, err := store.RenewOwnerToken(t.Context(), held.ID)
		mu.Lock()
		defer mu.Unlock()
		tokens[token] = true
		return err
	}) {
		require.NoError(t, err)
	}
	require.Len(t, tokens, 9)
	good := 0
	for token := range tokens {
		if _, err := store.Owned(t.Context(), held.ID, token); err == nil {
			good++
		}
	}
	require.Equal(t, 1, good)
}
