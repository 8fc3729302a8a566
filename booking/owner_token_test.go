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

func withOwnerSecrets(t testing.TB, db *sql.DB, secrets ...string) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{OwnerSecrets: secrets})
	require.NoError(t, err)
	return store
}

func TestOwnerToken_HoldAndRenew(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withOwnerSecrets(t, db, secrets...)
		create(t, store, func(r *booking.Resource) { r.Capacity = 5 })
		held := hold(t, store, keyed(slot(0)))
		require.Regexp(t, `^[0-9a-f]{12}-[A-Za-z0-9_-]{43}$`, held.OwnerToken)
		require.Equal(t, held, hold(t, store, keyed(slot(0))), "a repeat returns it again")
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

		// After a renewal the old token is invalid, and a repeated hold returns the new
		// one.
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

// M3: While the secret is listed a repeat returns the token; afterwards it and any other
// of the secret are refused.
func TestOwnerToken_SecretRemoved(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		before := withOwnerSecrets(t, db, secrets[0])
		create(t, before)
		held := hold(t, before, keyed(slot(0)))
		during := withOwnerSecrets(t, db, secrets[1], secrets[0])
		require.Equal(t, held.OwnerToken, hold(t, during, keyed(slot(0))).OwnerToken)
		_, err := during.Owned(t.Context(), held.ID, held.OwnerToken)
		require.NoError(t, err)
		after := withOwnerSecrets(t, db, secrets[1])
		require.Empty(t, hold(t, after, keyed(slot(0))).OwnerToken)
		told, err := after.WithOwnerToken(t.Context(), held.ID)
		require.NoError(t, err)
		require.Empty(t, told.OwnerToken)
		for _, store := range []*booking.Store{after, newStore(t, db)} {
			_, err := store.Owned(t.Context(), held.ID, held.OwnerToken)
			require.ErrorIs(t, err, booking.ErrNotFound)
		}
		_, err = before.Owned(t.Context(), held.ID, held.OwnerToken)
		require.NoError(t, err, "the secret is listed again")

		// Renewed under the new secret, the old token is invalid even where the old
		// secret is listed.
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

// M3: Neither the secret nor the row suffices.
func TestOwnerToken_NeedsSecretAndRow(t *testing.T) {
	t.Parallel()
	db, elsewhere := testdb.New(t), testdb.New(t)
	store, forger := withOwnerSecrets(t, db, secrets[0]), withOwnerSecrets(t, elsewhere, secrets[0])
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

func TestOwnerToken_NoSecrets(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	held := hold(t, store, keyed(slot(0)))
	require.Empty(t, held.OwnerToken)
	with := withOwnerSecrets(t, db, secrets...)
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
	require.ErrorIs(t, err, booking.ErrNotFound, "no tokens without secrets")
}

// Exactly one token is valid.
func TestOwnerToken_ConcurrentRenewals(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := withOwnerSecrets(t, db, secrets...)
	create(t, store)
	held := hold(t, store, request(slot(0)))
	var mu sync.Mutex
	tokens := map[string]bool{held.OwnerToken: true}
	for _, err := range concurrently(t, db, 8, func(*booking.Store, int) error {
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

// They differ from their source and each other, keep the order, and do not depend on the
// rest of the list.
func TestDeriveOwnerSecrets(t *testing.T) {
	t.Parallel()
	const newer, older = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	both, err := booking.DeriveOwnerSecrets([]string{newer, older})
	require.NoError(t, err)
	one, err := booking.DeriveOwnerSecrets([]string{older})
	require.NoError(t, err)
	require.Len(t, both, 2)
	require.NotEqual(t, both[0], both[1])
	require.Equal(t, both[1:], one)
	for _, s := range both {
		require.Len(t, s, 32)
		require.NotContains(t, []string{newer, older}, s)
	}
	for _, secrets := range [][]string{nil, {""}, {newer, ""}} {
		_, err := booking.DeriveOwnerSecrets(secrets)
		require.Error(t, err)
	}
}
