package booking_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// The resulting status, or the error, also for an expired hold.
func TestTransitions_EveryOperationByStatus(t *testing.T) {
	t.Parallel()
	refused := &booking.StatusError{}
	type want map[string]any
	tests := map[string]struct {
		do   func(context.Context, *booking.Store, string) (booking.Booking, error)
		want want
		// begun moves the booking into the past.
		begun bool
	}{
		"confirm": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Confirm(ctx, id)
			},
			want: want{
				"pending": booking.StatusConfirmed, "lapsed": booking.ErrHoldExpired,
				"confirmed": booking.StatusConfirmed,
				"cancelled": refused,
				"completed": refused, "no_show": refused, "expired": booking.ErrHoldExpired,
			},
		},
		"confirm late": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.ConfirmLate(ctx, id)
			},
			want: want{
				"pending": booking.StatusConfirmed, "lapsed": booking.StatusConfirmed,
				"confirmed": booking.StatusConfirmed,
				"cancelled": refused,
				"completed": refused, "no_show": refused, "expired": booking.ErrHoldExpired,
			},
		},
		"cancel": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Cancel(ctx, booking.CancelRequest{ID: id})
			},
			want: want{
				"pending": booking.StatusCancelled, "lapsed": booking.StatusCancelled,
				"confirmed": booking.StatusCancelled,
				"cancelled": booking.StatusCancelled, "completed": refused, "no_show": refused, "expired": refused,
			},
		},
		"cancel by customer": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Cancel(ctx, byCustomer(id))
			},
			want: want{
				"pending": booking.StatusCancelled, "lapsed": booking.StatusCancelled,
				"confirmed": booking.StatusCancelled,
				"cancelled": booking.StatusCancelled, "completed": refused, "no_show": refused, "expired": refused,
			},
		},
		"cancel by customer, begun": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Cancel(ctx, byCustomer(id))
			},
			want: want{
				"pending": booking.StatusCancelled, "lapsed": booking.StatusCancelled, "confirmed": booking.ErrPolicy,
				"cancelled": booking.StatusCancelled, "completed": refused, "no_show": refused, "expired": refused,
			},
			begun: true,
		},
		"complete": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Complete(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.StatusCompleted, "cancelled": refused,
				"completed": booking.StatusCompleted, "no_show": booking.StatusCompleted, "expired": refused,
			},
			begun: true,
		},
		"complete, not begun": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Complete(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.ErrNotBegun, "cancelled": refused,
				"completed": booking.StatusCompleted, "no_show": booking.ErrNotBegun, "expired": refused,
			},
		},
		"no-show": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.NoShow(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.StatusNoShow, "cancelled": refused,
				"completed": booking.StatusNoShow, "no_show": booking.StatusNoShow, "expired": refused,
			},
			begun: true,
		},
		"no-show, not begun": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.NoShow(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.ErrNotBegun, "cancelled": refused,
				"completed": booking.ErrNotBegun, "no_show": booking.StatusNoShow, "expired": refused,
			},
		},
		"release": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Release(ctx, id)
			},
			want: want{
				"pending": booking.StatusCancelled, "lapsed": booking.StatusCancelled, "confirmed": refused,
				"cancelled": refused,
				"completed": refused, "no_show": refused, "expired": refused,
			},
		},
		"extend": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Extend(ctx, id, slot(0))
			},
			want: want{
				"pending": booking.StatusPending, "lapsed": booking.StatusPending, "confirmed": refused,
				"cancelled": refused,
				"completed": refused, "no_show": refused, "expired": booking.ErrHoldExpired,
			},
		},
		"extend beyond the cap": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Extend(ctx, id, slot(-100))
			},
			want: want{"pending": booking.StatusPending, "lapsed": booking.ErrHoldExpired},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store)
			hours := 0
			for status, want := range test.want {
				hours++
				id := hold(t, store, request(slot(hours))).ID
				if status == "lapsed" {
					expireHolds(t, db, id)
				} else {
					exec(t, db, `UPDATE booking_platform.bookings SET status = $2::text WHERE id = $1::uuid`, id,
						status)
				}
				if test.begun {
					startsIn(t, db, id, -2*time.Duration(hours)*time.Hour)
				}
				before, err := store.Get(t.Context(), id)
				require.NoError(t, err)
				b, err := test.do(t.Context(), store, id)
				after, readErr := store.Get(t.Context(), id)
				require.NoError(t, readErr)
				switch want := want.(type) {
				case booking.Status:
					require.NoError(t, err, status)
					require.Equal(t, want, b.Status, status)
					require.Equal(t, after, b, status)
					require.False(t, after.HoldExpiresAt.Before(before.HoldExpiresAt))
				case *booking.StatusError:
					require.ErrorAs(t, err, &want, status)
					require.Equal(t, booking.StatusError{ID: id, Status: before.Status, Op: want.Op}, *want)
					require.Equal(t, before, after, "nothing has changed")
				case error:
					require.ErrorIs(t, err, want, status)
					require.Equal(t, before, after, "nothing has changed")
				}
			}
			for _, id := range []string{"", "nonsense", "019a2b3c-0000-7000-8000-000000000000"} {
				_, err := test.do(t.Context(), store, id)
				require.ErrorIs(t, err, booking.ErrNotFound)
			}
		})
	}
}

// Confirmed, released, cancelled and swept at once: it ends in one status, and exactly
// the operations that reached it succeed.
func TestTransitions_ConcurrentSingleOutcome(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	for round := range 60 {
		id := hold(t, store, request(slot(round))).ID
		if round%2 == 0 {
			expireHolds(t, db, id)
		}
		var confirmed, released error
		errs := concurrently(t, db, 4, func(store *booking.Store, client int) error {
			switch client {
			case 0:
				_, confirmed = store.ConfirmLate(context.Background(), id)
			case 1:
				_, released = store.Release(context.Background(), id)
			default:
				_, err := store.ReleaseExpired(context.Background())
				return err
			}
			return nil
		})
		requireSold(t, 4, errs)
		b, err := store.Get(t.Context(), id)
		require.NoError(t, err)
		switch b.Status {
		case booking.StatusConfirmed:
			require.NoError(t, confirmed)
			require.ErrorAs(t, released, new(*booking.StatusError))
		case booking.StatusCancelled:
			require.NoError(t, released)
			require.ErrorAs(t, confirmed, new(*booking.StatusError))
		case booking.StatusExpired:
			require.Zero(t, round%2, "the hold had not expired")
			require.ErrorIs(t, confirmed, booking.ErrHoldExpired)
			require.ErrorAs(t, released, new(*booking.StatusError))
		default:
			require.Fail(t, "no outcome", string(b.Status))
		}
	}
}

// M17: Even where the row says that the hold lasts longer.
func TestConfirm_SlotHasBegun(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		held := hold(t, store, request(slot(0)))
		startsIn(t, db, held.ID, -time.Second)
		before := allRows(t, db)
		for _, c := range []struct {
			want error
			do   func(context.Context, string) (booking.Booking, error)
		}{
			{booking.ErrHoldExpired, store.Confirm},
			{booking.ErrSlotGone, store.ConfirmLate},
			{booking.ErrHoldExpired, func(ctx context.Context,
				id string) (booking.Booking, error) {
				return store.Extend(ctx, id, slot(9))
			}},
		} {
			_, err := c.do(t.Context(), held.ID)
			require.ErrorIs(t, err, c.want)
		}
		require.NoError(t, retryInTx(db, store, sql.LevelReadCommitted, func(tx *booking.Tx) error {
			_, err := tx.Confirm(t.Context(), held.ID)
			require.ErrorIs(t, err, booking.ErrHoldExpired)
			_, err = tx.ConfirmLate(t.Context(), held.ID)
			require.ErrorIs(t, err, booking.ErrSlotGone)
			return nil
		}))
		confirmed, err := confirmTogether(t, db, store, map[string]string{held.ID: ""})
		require.NoError(t, err)
		require.Empty(t, confirmed)
		require.Equal(t, before, allRows(t, db))
	})
}

// confirmTogether confirms the bookings, with their actors, by Store.ConfirmSQL.
func confirmTogether(t *testing.T, q booking.Querier, store *booking.Store,
	actors map[string]string) (confirmed []string, err error) {
	t.Helper()
	parts, ok := store.ConfirmSQL()
	require.True(t, ok)
	wanted, err := json.Marshal(actors)
	require.NoError(t, err)
	rows, err := q.QueryContext(t.Context(), `WITH wanted AS MATERIALIZED (
		SELECT j.key::uuid AS booking_id, j.value AS actor FROM jsonb_each_text($1::jsonb) AS j
	), `+parts.Lock+`, granted AS (
		SELECT w.booking_id, w.actor FROM wanted w JOIN held h ON h.booking_id = w.booking_id
	), `+parts.Confirm+`
	SELECT c.booking_id::text FROM confirmed c JOIN booking_platform.bookings b ON b.id = c.booking_id
	WHERE c.resource_id = b.resource_id AND c.reference = b.reference AND c.email = b.email
		AND c.at = statement_timestamp()`, string(wanted))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		confirmed = append(confirmed, id)
	}
	return confirmed, errors.Join(rows.Err(), rows.Close())
}

// OnConfirmSQL replaces OnChange; an error of it undoes the statement.
func TestConfirmSQL_OnConfirmSQL(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	hook := func(context.Context, booking.HookTx, booking.Changed) error { return nil }
	store, err := booking.New(db, booking.Options{OnChange: hook})
	require.NoError(t, err)
	_, ok := store.ConfirmSQL()
	require.False(t, ok)
	_, err = booking.New(db, booking.Options{OnConfirmSQL: "SELECT 1"})
	require.ErrorContains(t, err, "OnConfirmSQL requires OnChange")

	exec(t, db, `CREATE TABLE public.mails (booking_id uuid UNIQUE, text text)`)
	store, err = booking.New(db, booking.Options{OnChange: hook, OnConfirmSQL: `
		INSERT INTO public.mails (booking_id, text)
		SELECT c.booking_id, c.email || ' ' || c.actor FROM confirmed c`})
	require.NoError(t, err)
	create(t, store)
	first, second := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
	_, err = confirmTogether(t, db, store, map[string]string{first.ID: "a"})
	require.NoError(t, err)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM public.mails WHERE booking_id = $1::uuid AND text = $2`,
		first.ID, first.Customer.Email+" a"))
	exec(t, db, `INSERT INTO public.mails (booking_id) VALUES ($1::uuid)`, second.ID)
	_, err = confirmTogether(t, db, store, map[string]string{second.ID: "b"})
	require.Error(t, err)
	got, err := store.Get(t.Context(), second.ID)
	require.NoError(t, err)
	require.Equal(t, booking.StatusPending, got.Status)
}

func TestConfirmSQL_SkipsOthersAndLocked(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		plain, other := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
		lapsed, locked, released := hold(t, store, request(slot(2))), hold(t, store, request(slot(4))),
			hold(t, store, request(slot(5)))
		expireHolds(t, db, lapsed.ID)
		_, err := store.Release(t.Context(), released.ID)
		require.NoError(t, err)
		locking, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = locking.Rollback() }()
		_, err = store.Tx(locking).Lock(t.Context(), locked.ID)
		require.NoError(t, err)

		actors := map[string]string{"00000000-0000-7000-8000-000000000001": ""}
		for _, b := range []booking.Booking{plain, other, lapsed, locked, released} {
			actors[b.ID] = "stripe:evt_" + b.ID
		}
		confirmed, err := confirmTogether(t, db, store, actors)
		require.NoError(t, err)
		require.ElementsMatch(t, []string{plain.ID, other.ID}, confirmed)
		require.NoError(t, locking.Rollback())
		changes, err := store.History(t.Context(), plain.ID)
		require.NoError(t, err)
		require.Equal(t, "stripe:evt_"+plain.ID, changes[len(changes)-1].Actor)
		for _, b := range []booking.Booking{lapsed, locked} {
			got, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, booking.StatusPending, got.Status)
		}
		requireHistory(t, db)
	})
}

// Other changes wait and then see the result of the transaction that locked the booking.
func TestLock_BlocksOtherChanges(t *testing.T) {
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

func TestExpire_EndsHold(t *testing.T) {
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
		require.Equal(t, booking.StatusExpired, expired.Status)
		require.Equal(t, "key", expired.IdempotencyKey)
	}
	_, err = store.Tx(tx).Expire(t.Context(), confirmed.ID)
	require.ErrorAs(t, err, new(*booking.StatusError))
	_, err = store.Tx(tx).Expire(t.Context(), "nonsense")
	require.ErrorIs(t, err, booking.ErrNotFound)
	require.NoError(t, tx.Commit())
	hold(t, store, request(slot(0)))
}
