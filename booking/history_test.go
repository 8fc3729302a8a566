package booking_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func changes(t testing.TB, store *booking.Store, id string) []booking.Change {
	t.Helper()
	history, err := store.History(t.Context(), id)
	require.NoError(t, err)
	for i, c := range history {
		require.WithinDuration(t, time.Now(), c.At, time.Hour)
		require.Equal(t, time.UTC, c.At.Location())
		history[i].At = time.Time{}
	}
	require.Equal(t, booking.Change{To: booking.StatusPending}, history[0])
	return history[1:]
}

// From, to, actor and reason.
func TestHistory_EveryStatusChange(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		const op, clerk, late = "operator", "user:ada@example.com", true
		in := func(do func(*booking.Tx, context.Context, string) error) func(context.Context, string) error {
			return func(ctx context.Context, id string) error {
				tx, err := db.BeginTx(ctx, nil)
				require.NoError(t, err)
				defer func() { _ = tx.Rollback() }()
				require.NoError(t, do(store.Tx(tx), ctx, id))
				return tx.Commit()
			}
		}
		steps := []struct {
			name   string
			lapsed bool
			do     func(context.Context, string) error
			want   booking.Change
		}{
			{"confirm", false, func(ctx context.Context, id string) error {
				_,
					err := store.Confirm(ctx, id)
				return err
			},
				booking.Change{From: booking.StatusPending, To: booking.StatusConfirmed, Actor: clerk}},
			{"confirm late", late, func(ctx context.Context, id string) error {
				_,
					err := store.ConfirmLate(ctx, id)
				return err
			},
				booking.Change{From: booking.StatusPending, To: booking.StatusConfirmed, Actor: clerk}},
			{"confirm joined", false, in(func(tx *booking.Tx, ctx context.Context, id string) error {
				_,
					err := tx.Confirm(ctx, id)
				return err
			}),
				booking.Change{From: booking.StatusPending, To: booking.StatusConfirmed, Actor: clerk}},
			{"confirm late in a transaction", late, in(func(tx *booking.Tx, ctx context.Context, id string) error {
				_, err := tx.ConfirmLate(ctx, id)
				return err
			}), booking.Change{From: booking.StatusPending, To: booking.StatusConfirmed, Actor: clerk}},
			{"cancel", false, func(ctx context.Context, id string) error {
				_, err := store.Cancel(ctx, booking.CancelRequest{ID: id, Reason: "rain"})
				return err
			},
				booking.Change{From: booking.StatusPending, To: booking.StatusCancelled, Actor: clerk, Reason: "rain"}},
			{"cancel joined", false, in(func(tx *booking.Tx, ctx context.Context, id string) error {
				_, err := tx.Cancel(ctx, booking.CancelRequest{ID: id, Reason: "snow"})
				return err
			}), booking.Change{From: booking.StatusPending, To: booking.StatusCancelled, Actor: clerk, Reason: "snow"}},
			{"release", false, func(ctx context.Context, id string) error {
				_,
					err := store.Release(ctx, id)
				return err
			},
				booking.Change{From: booking.StatusPending, To: booking.StatusCancelled, Actor: clerk}},
			{"release joined", false, in(func(tx *booking.Tx, ctx context.Context, id string) error {
				_,
					err := tx.Release(ctx, id)
				return err
			}),
				booking.Change{From: booking.StatusPending, To: booking.StatusCancelled, Actor: clerk}},
			{"expire", false, in(func(tx *booking.Tx, ctx context.Context, id string) error {
				_,
					err := tx.Expire(ctx, id)
				return err
			}),
				booking.Change{From: booking.StatusPending, To: booking.StatusExpired, Actor: clerk}},
			{"sweep", late, func(context.Context, string) error {
				_,
					err := store.ReleaseExpired(t.Context())
				return err
			},
				booking.Change{From: booking.StatusPending, To: booking.StatusExpired, Actor: "booking"}},
			{"sweep with an actor", late, func(context.Context, string) error {
				_, err := store.ReleaseExpired(booking.WithActor(t.Context(), op))
				return err
			}, booking.Change{From: booking.StatusPending, To: booking.StatusExpired, Actor: op}},
		}
		ctx := booking.WithActor(t.Context(), clerk)
		for n, step := range steps {
			id := hold(t, store, request(slot(n))).ID
			if step.lapsed {
				expireHolds(t, db, id)
			}
			require.NoError(t, step.do(ctx, id), step.name)
			require.Equal(t, []booking.Change{step.want}, changes(t, store, id), step.name)
		}
		requireHistory(t, db)
	})
}

// The operation that takes an expired hold's slot also writes the end of that hold.
func TestHistory_ExpiredHoldReplaced(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		expired := booking.Change{From: booking.StatusPending, To: booking.StatusExpired, Actor: "booking"}
		id := fillWithExpired(t, db, store, 1, slot(0))[0]
		hold(t, store, request(slot(0)))
		require.Equal(t, []booking.Change{expired}, changes(t, store, id))

		id = fillWithExpired(t, db, store, 1, slot(1))[0]
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		_, err = store.Tx(tx).ConfirmLate(t.Context(), id)
		require.NoError(t, err)
		answer := make(chan error)
		go func() {
			_, err := store.Hold(t.Context(), request(slot(1)))
			answer <- err
		}()
		waitForLock(t, db)
		require.NoError(t, tx.Rollback())
		require.NoError(t, <-answer)
		require.Equal(t, []booking.Change{expired}, changes(t, store, id))
		requireHistory(t, db)
	})
}

func TestHistory_NoChangeOrRollback(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = store.Tx(tx).Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "by mistake"})
	require.NoError(t, err)
	seen, err := store.Tx(tx).History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Len(t, seen, 2, "visible in the transaction")
	require.NoError(t, tx.Rollback())
	require.Empty(t, changes(t, store, b.ID))

	for range 2 {
		_, err = store.Confirm(t.Context(), b.ID)
		require.NoError(t, err)
	}
	_, err = store.Release(t.Context(), b.ID)
	require.ErrorAs(t, err, new(*booking.StatusError))
	_, err = store.Extend(t.Context(), b.ID, slot(0))
	require.ErrorAs(t, err, new(*booking.StatusError))
	require.Len(t, changes(t, store, b.ID), 1)
	for range 2 {
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "rain"})
		require.NoError(t, err)
	}
	require.Equal(t, []booking.Change{
		{From: booking.StatusPending, To: booking.StatusConfirmed},
		{From: booking.StatusConfirmed, To: booking.StatusCancelled, Reason: "rain"},
	}, changes(t, store, b.ID))
	requireHistory(t, db)
}

func TestHistory_UnknownBooking(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	for _, id := range []string{"", "nonsense", "019a2b3c-0000-7000-8000-000000000000"} {
		_, err := store.History(t.Context(), id)
		require.ErrorIs(t, err, booking.ErrNotFound)
	}
	b := hold(t, store, request(slot(0)))
	exec(t, db, `DELETE FROM booking_platform.booking_history`)
	history, err := store.History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Empty(t, history, "a booking older than the history")

	exec(t, db, `
		INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status, from_start, to_start, reason)
		SELECT $1::uuid, 'pending', 'pending', to_timestamp(n), to_timestamp(n + 1), n::text
			FROM generate_series(1, 1234) n`, b.ID)
	history, err = store.History(t.Context(), b.ID)
	require.NoError(t, err)
	require.Len(t, history, 1000, "History is bounded")
	require.Equal(t, "235", history[0].Reason)
	require.Equal(t, "1234", history[999].Reason)
	require.Equal(t, time.Unix(1234, 0).UTC(), history[999].FromStart)
	require.Equal(t, time.Unix(1235, 0).UTC(), history[999].ToStart)
}

// A cancellation waits for a concurrent confirmation, and records the status that it
// replaced.
func TestHistory_FromStatusAfterWaiting(t *testing.T) {
	t.Parallel()
	for _, confirms := range []bool{true, false} {
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store)
		b := hold(t, store, request(slot(0)))
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(tx).Confirm(t.Context(), b.ID)
		require.NoError(t, err)
		answer := make(chan error)
		go func() {
			_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "rain"})
			answer <- err
		}()
		waitForLock(t, db)
		want := booking.Change{From: booking.StatusPending, To: booking.StatusCancelled, Reason: "rain"}
		if confirms {
			require.NoError(t, tx.Commit())
			want.From = booking.StatusConfirmed
		} else {
			require.NoError(t, tx.Rollback())
		}
		require.NoError(t, <-answer)
		all := changes(t, store, b.ID)
		require.Equal(t, want, all[len(all)-1])
		requireHistory(t, db)
	}
}
