package booking_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

var secrets = []string{strings.Repeat("first ", 6), strings.Repeat("second ", 6)}

// withOwnerSecrets returns a store with secrets for owner tokens.
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

// While the secret is listed a repeat returns the token; afterwards that token and any
// other made with the secret are refused.
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

// A nonce in the row is part of the token, so neither the secret nor the row suffices.
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

// After concurrent renewals exactly one token is valid.
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

// renewAll runs batches until the end and returns what they renewed.
func renewAll(t testing.TB, store *booking.Store, req booking.RenewRequest) (all []booking.Booking) {
	t.Helper()
	for {
		batch, err := store.RenewOwnerTokens(t.Context(), req)
		require.NoError(t, err)
		all = append(all, batch.Bookings...)
		if batch.Next == "" {
			return all
		}
		req.After = batch.Next
	}
}

func idsOf(bookings []booking.Booking) (ids []string) {
	for _, b := range bookings {
		ids = append(ids, b.ID)
	}
	return ids
}

// A second run has nothing to do.
func TestRenewOwnerTokens_AfterSecretRetired(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		before, after := withOwnerSecrets(t, db, secrets[0]), withOwnerSecrets(t, db, secrets[1])
		create(t, before, func(r *booking.Resource) { r.Capacity = 20 })
		var old []booking.Booking
		for i := range 7 {
			old = append(old, hold(t, before, request(slot(i))))
		}
		none := hold(t, newStore(t, db), request(slot(7)))
		fresh := hold(t, after, request(slot(8)))
		// Past and cancelled bookings and blocks are skipped.
		past, cancelled := hold(t, before, request(slot(9))), hold(t, before, request(slot(10)))
		beginsAgo(t, db, past.ID, 2*time.Hour)
		_, err := before.Cancel(t.Context(), booking.CancelRequest{ID: cancelled.ID})
		require.NoError(t, err)
		_, err = before.Block(t.Context(),
			booking.BlockRequest{Resource: "court", From: slot(11), To: slot(12), Units: 1})
		require.NoError(t, err)

		use, err := after.SecretUse(t.Context())
		require.NoError(t, err)
		firstID, secondID := old[0].OwnerToken[:12], fresh.OwnerToken[:12]
		require.Equal(t, []booking.SecretUse{
			{ID: secondID, Number: 1, Bookings: 1}, {ID: "", Bookings: 1}, {ID: firstID, Bookings: 7},
		}, use)
		require.Empty(t, renewAll(t, after, booking.RenewRequest{Secret: "0123456789ab"}))

		renewed := renewAll(t, after, booking.RenewRequest{Limit: 3})
		require.Equal(t, append(idsOf(old), none.ID), idsOf(renewed))
		for _, b := range renewed {
			require.Equal(t, secondID, b.OwnerToken[:12])
			_, err := after.Owned(t.Context(), b.ID, b.OwnerToken)
			require.NoError(t, err)
			told, err := after.WithOwnerToken(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, b, told)
		}
		for _, b := range append(old, past, cancelled) {
			for _, store := range []*booking.Store{after, withOwnerSecrets(t, db, secrets[1], secrets[0])} {
				_, err := store.Owned(t.Context(), b.ID, b.OwnerToken)
				if b.ID == past.ID || b.ID == cancelled.ID {
					continue
				}
				require.ErrorIs(t, err, booking.ErrNotFound, "the old token is invalid even where its secret is listed")
			}
		}
		_, err = after.Owned(t.Context(), fresh.ID, fresh.OwnerToken)
		require.NoError(t, err)
		require.Empty(t, renewAll(t, after, booking.RenewRequest{}))
		use, err = withOwnerSecrets(t, db, secrets[1], secrets[0], secrets[1]).SecretUse(t.Context())
		require.NoError(t, err)
		require.Equal(t, []booking.SecretUse{{ID: secondID, Number: 1, Bookings: 9}, {ID: firstID, Number: 2}}, use,
			"no booking depends on the old secret")

		// Tokens of a listed secret stay valid, and are renewed only where it is named.
		during := withOwnerSecrets(t, db, secrets[1], secrets[0])
		still := hold(t, before, request(slot(12)))
		require.Empty(t, renewAll(t, during, booking.RenewRequest{}))
		require.Equal(t, []string{still.ID}, idsOf(renewAll(t, during, booking.RenewRequest{Secret: firstID})))
		require.Empty(t, renewAll(t, during, booking.RenewRequest{Secret: firstID}))

		// Those of one secret, and all.
		require.Len(t, renewAll(t, after, booking.RenewRequest{Secret: secondID, Limit: 4}), 10)
		all := renewAll(t, after, booking.RenewRequest{All: true, Limit: 4})
		require.Len(t, all, 10)
		_, err = after.Owned(t.Context(), fresh.ID, fresh.OwnerToken)
		require.ErrorIs(t, err, booking.ErrNotFound)
		_, err = after.Owned(t.Context(), all[0].ID, all[0].OwnerToken)
		require.NoError(t, err)
	})
}

func TestRenewOwnerTokens_Refused(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	_, err := newStore(t, db).RenewOwnerTokens(t.Context(), booking.RenewRequest{})
	require.EqualError(t, err, "booking: renew owner tokens: no owner secrets")
	store := withOwnerSecrets(t, db, secrets...)
	for field, req := range map[string]booking.RenewRequest{
		"after": {After: "x"}, "limit": {Limit: 1001}, "secret": {Secret: "0123456789aB"},
	} {
		_, err := store.RenewOwnerTokens(t.Context(), req)
		var invalid *booking.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.Contains(t, invalid.Fields, field)
	}
	_, err = store.RenewOwnerTokens(t.Context(), booking.RenewRequest{All: true, Secret: "0123456789ab"})
	require.Error(t, err)
}

// Renewal waits for locked bookings. One that stays locked is an error, returned after
// the others were renewed.
func TestRenewOwnerTokens_LockedRows(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := withOwnerSecrets(t, db, secrets...)
	create(t, store, func(r *booking.Resource) { r.Capacity = 20 })
	var held []booking.Booking
	for i := range 4 {
		held = append(held, hold(t, store, request(slot(i))))
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `SELECT 1 FROM booking_platform.bookings WHERE id = $1::uuid FOR UPDATE`,
		held[2].ID)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	batch, err := store.RenewOwnerTokens(ctx, booking.RenewRequest{All: true})
	require.Error(t, err)
	require.Equal(t, []string{held[0].ID, held[1].ID, held[3].ID}, idsOf(batch.Bookings))
	require.Empty(t, batch.Next)

	type outcome struct {
		batch booking.RenewedTokens
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		b, err := store.RenewOwnerTokens(t.Context(), booking.RenewRequest{All: true})
		done <- outcome{b, err}
	}()
	require.Eventually(t, func() bool {
		return count(t, db,
			`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, tx.Rollback())
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, idsOf(held), idsOf(got.batch.Bookings))
}

// Concurrent runs beside holds and moves: one of them returns each booking's token, and
// the last returned is valid.
func TestRenewOwnerTokens_ConcurrentRuns(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	before := withOwnerSecrets(t, db, secrets[0])
	create(t, before, func(r *booking.Resource) { r.Capacity = 10 })
	var held []booking.Booking
	for i := range 30 {
		held = append(held, hold(t, before, request(slot(i%5))))
	}
	var mu sync.Mutex
	told := map[string]string{}
	for _, err := range concurrently(t, db, 6, func(_ *booking.Store, n int) error {
		store, err := booking.New(db, booking.Options{OwnerSecrets: []string{secrets[1]}})
		if err != nil {
			return err
		}
		if n >= 4 {
			for i := n - 4; i < len(held); i += 2 {
				if _, err := store.Confirm(t.Context(), held[i].ID); err != nil {
					return err
				}
			}
			return nil
		}
		for after := ""; ; {
			batch, err := store.RenewOwnerTokens(t.Context(), booking.RenewRequest{After: after, Limit: 7})
			if err != nil {
				return err
			}
			mu.Lock()
			for _, b := range batch.Bookings {
				if told[b.ID] != "" {
					err = fmt.Errorf("%s was renewed twice", b.ID)
				}
				told[b.ID] = b.OwnerToken
			}
			mu.Unlock()
			if after = batch.Next; err != nil || after == "" {
				return err
			}
		}
	}) {
		require.NoError(t, err)
	}
	require.Len(t, told, len(held))
	for id, token := range told {
		b, err := before.Owned(t.Context(), id, token)
		require.ErrorIs(t, err, booking.ErrNotFound, b)
		b, err = withOwnerSecrets(t, db, secrets[1]).Owned(t.Context(), id, token)
		require.NoError(t, err)
		require.Equal(t, booking.StatusConfirmed, b.Status)
	}
}

// Derived secrets differ from their source and each other, keep the order, and do not
// depend on the rest of the list.
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
