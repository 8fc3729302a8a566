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
		require.Regexp(t, `^[0-9a-f]{12}-[A-Za-z0-9_-]{43}$`, held.OwnerToken)
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
		require.Zero(t,
			count(t, db, `SELECT count(*) FROM booking_platform.bookings b WHERE b::text LIKE '%' || $1::text || '%'`,
				held.OwnerToken))

		other := hold(t, store, request(slot(0)))
		require.NotEqual(t, held.OwnerToken, other.OwnerToken)
		for _, wrong := range []struct{ id, token string }{
			{held.ID, other.OwnerToken}, {held.ID, ""}, {held.ID, held.OwnerToken + "A"},
			{held.ID, held.OwnerToken[:55]}, {held.ID, "-"},
			{held.ID, held.OwnerToken[:12]}, {held.ID, held.OwnerToken[:13]}, {held.ID, held.OwnerToken[13:]},
			{held.ID, strings.ToUpper(held.OwnerToken)},
			{held.ID, strings.ToLower(held.OwnerToken)}, {"019a2b3c-0000-7000-8000-000000000000", held.OwnerToken},
			{"", held.OwnerToken}, {"no id", ""},
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

// M3: a token ends with the secret that it was made with. While the secret is listed it
// can be told again; once it is gone, the token and everything that the secret and the
// booking's id could make are refused.
func TestOwnerToken_EndsWithItsSecret(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		before := owning(t, db, secrets[0])
		create(t, before)
		held := hold(t, before, keyed(slot(0)))
		during := owning(t, db, secrets[1], secrets[0])
		require.Equal(t, held.OwnerToken, hold(t, during, keyed(slot(0))).OwnerToken)
		_, err := during.Owned(t.Context(), held.ID, held.OwnerToken)
		require.NoError(t, err)
		after := owning(t, db, secrets[1])
		require.Empty(t, hold(t, after, keyed(slot(0))).OwnerToken)
		told, err := after.WithOwnerToken(t.Context(), held.ID)
		require.NoError(t, err)
		require.Empty(t, told.OwnerToken)
		for _, store := range []*booking.Store{after, newStore(t, db)} {
			_, err := store.Owned(t.Context(), held.ID, held.OwnerToken)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		_, err = before.Owned(t.Context(), held.ID, held.OwnerToken)
		require.NoError(t, err, "a secret that is put back")

		// Renewed under the new secret, the old token is dead even where the old secret
		// is listed.
		token, err := after.RenewOwnerToken(t.Context(), held.ID)
		require.NoError(t, err)
		require.NotEqual(t, held.OwnerToken[:12], token[:12])
		require.Equal(t, token, hold(t, after, keyed(slot(0))).OwnerToken)
		for _, store := range []*booking.Store{before, during, after} {
			_, err := store.Owned(t.Context(), held.ID, held.OwnerToken)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		_, err = during.Owned(t.Context(), held.ID, token)
		require.NoError(t, err)
	})
}

// M3: the secret alone makes no token, because a nonce in the row is part of it; and the
// row alone makes none.
func TestOwnerToken_NeedsSecretAndRow(t *testing.T) {
	t.Parallel()
	db, elsewhere := testdb.New(t), testdb.New(t)
	store, forger := owning(t, db, secrets[0]), owning(t, elsewhere, secrets[0])
	create(t, store)
	create(t, forger)
	held := hold(t, store, request(slot(0)))
	forged := hold(t, forger, request(slot(0)))
	exec(t, elsewhere, `UPDATE booking_platform.bookings SET id = $1::uuid WHERE id = $2::uuid`, held.ID, forged.ID)
	made, err := forger.WithOwnerToken(t.Context(), held.ID)
	require.NoError(t, err)
	require.Equal(t, held.OwnerToken[:13], made.OwnerToken[:13], "the same secret")
	_, err = store.Owned(t.Context(), held.ID, made.OwnerToken)
	require.ErrorIs(t, err, booking.ErrNotFound)
	require.Zero(t,
		count(t, db, `SELECT count(*) FROM booking_platform.bookings b WHERE b::text LIKE '%' || $1::text || '%'`,
			secrets[0][:16]))
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
	_, err = with.Owned(t.Context(), held.ID, token)
	require.NoError(t, err, "its first")
	_, err = store.Owned(t.Context(), held.ID, token)
	require.ErrorIs(t, err, booking.ErrNotFound, "a store without secrets knows none")
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
