package booking_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// renewAll returns what all batches renewed.
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

// M3: A second run has nothing to do.
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

// One that stays locked is an error, returned after the others were renewed.
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

// One of the runs returns each booking's token, and the last returned is valid.
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
