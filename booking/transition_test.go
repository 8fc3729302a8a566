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

// Every operation from every status, and from a hold whose time has passed: the status
// afterwards, or the error.
func TestOperationsByStatus(t *testing.T) {
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
				"pending": booking.Confirmed, "lapsed": booking.ErrHoldExpired, "confirmed": booking.Confirmed,
				"cancelled": refused,
				"completed": refused, "no_show": refused, "expired": booking.ErrHoldExpired,
			},
		},
		"confirm late": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.ConfirmLate(ctx, id)
			},
			want: want{
				"pending": booking.Confirmed, "lapsed": booking.Confirmed, "confirmed": booking.Confirmed,
				"cancelled": refused,
				"completed": refused, "no_show": refused, "expired": booking.ErrHoldExpired,
			},
		},
		"cancel": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Cancel(ctx, booking.CancelRequest{ID: id})
			},
			want: want{
				"pending": booking.Cancelled, "lapsed": booking.Cancelled, "confirmed": booking.Cancelled,
				"cancelled": booking.Cancelled, "completed": refused, "no_show": refused, "expired": refused,
			},
		},
		"cancel by customer": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Cancel(ctx, byCustomer(id))
			},
			want: want{
				"pending": booking.Cancelled, "lapsed": booking.Cancelled, "confirmed": booking.Cancelled,
				"cancelled": booking.Cancelled, "completed": refused, "no_show": refused, "expired": refused,
			},
		},
		"cancel by customer, begun": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Cancel(ctx, byCustomer(id))
			},
			want: want{
				"pending": booking.Cancelled, "lapsed": booking.Cancelled, "confirmed": booking.ErrPolicy,
				"cancelled": booking.Cancelled, "completed": refused, "no_show": refused, "expired": refused,
			},
			begun: true,
		},
		"complete": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Complete(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.Completed, "cancelled": refused,
				"completed": booking.Completed, "no_show": booking.Completed, "expired": refused,
			},
			begun: true,
		},
		"complete, not begun": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Complete(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.ErrNotBegun, "cancelled": refused,
				"completed": booking.Completed, "no_show": booking.ErrNotBegun, "expired": refused,
			},
		},
		"no-show": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.NoShow(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.NoShow, "cancelled": refused,
				"completed": booking.NoShow, "no_show": booking.NoShow, "expired": refused,
			},
			begun: true,
		},
		"no-show, not begun": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.NoShow(ctx, id)
			},
			want: want{
				"pending": refused, "lapsed": refused, "confirmed": booking.ErrNotBegun, "cancelled": refused,
				"completed": booking.ErrNotBegun, "no_show": booking.NoShow, "expired": refused,
			},
		},
		"release": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Release(ctx, id)
			},
			want: want{
				"pending": booking.Cancelled, "lapsed": booking.Cancelled, "confirmed": refused, "cancelled": refused,
				"completed": refused, "no_show": refused, "expired": refused,
			},
		},
		"extend": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Extend(ctx, id, slot(0))
			},
			want: want{
				"pending": booking.Pending, "lapsed": booking.Pending, "confirmed": refused, "cancelled": refused,
				"completed": refused, "no_show": refused, "expired": booking.ErrHoldExpired,
			},
		},
		"extend in vain": {
			do: func(ctx context.Context, s *booking.Store, id string) (booking.Booking, error) {
				return s.Extend(ctx, id, slot(-100))
			},
			want: want{"pending": booking.Pending, "lapsed": booking.ErrHoldExpired},
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
					lapse(t, db, id)
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

func TestCancelKeepsTheFirstReason(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "bad\x00reason"})
	requireFields(t, err, "reason")
	for _, reason := range []string{"rain", "snow"} {
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: reason})
		require.NoError(t, err)
	}
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE reason = 'rain'`))
}

// A hold is confirmed, given back, cancelled and swept at once, many times: it ends in
// one status, and whoever succeeded says so rightly.
func TestOneOutcomeOfARace(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	for round := range 60 {
		id := hold(t, store, request(slot(round))).ID
		if round%2 == 0 {
			lapse(t, db, id)
		}
		var confirmed, released error
		errs := atOnce(t, db, 4, func(store *booking.Store, client int) error {
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
		case booking.Confirmed:
			require.NoError(t, confirmed)
			require.ErrorAs(t, released, new(*booking.StatusError))
		case booking.Cancelled:
			require.NoError(t, released)
			require.ErrorAs(t, confirmed, new(*booking.StatusError))
		case booking.Expired:
			require.Zero(t, round%2, "its time had not passed")
			require.ErrorIs(t, confirmed, booking.ErrHoldExpired)
			require.ErrorAs(t, released, new(*booking.StatusError))
		default:
			require.Fail(t, "no outcome", string(b.Status))
		}
	}
}

// An extension ends at the cap of the resource, counted from the hold, whatever is asked
// for; and after it there is none.
func TestExtendUpToTheCap(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.HoldFor, r.HoldCap = time.Hour, 3*time.Hour })
		b := hold(t, store, request(slot(0)))
		for _, test := range []struct{ ask, want time.Duration }{
			{2 * time.Hour, 2 * time.Hour}, {time.Hour, 2 * time.Hour}, {3*time.Hour + time.Microsecond, 3 * time.Hour},
			{1000 * time.Hour, 3 * time.Hour}, {2 * time.Hour, 3 * time.Hour},
		} {
			for name, level := range levels {
				require.NoError(t, inTx(db, store, level, func(tx *booking.Tx) error {
					got, err := tx.Extend(t.Context(), b.ID, b.CreatedAt.Add(test.ask))
					require.Equal(t, b.CreatedAt.Add(test.want), got.HoldExpiresAt, name)
					return err
				}))
			}
			stored, err := store.Get(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, b.CreatedAt.Add(test.want), stored.HoldExpiresAt)
		}

		// A cap that was lowered meanwhile shortens nothing.
		exec(t, db, `UPDATE booking_platform.resources SET hold_cap_seconds = 7200`)
		got, err := store.Extend(t.Context(), b.ID, slot(0))
		require.NoError(t, err)
		require.Equal(t, b.CreatedAt.Add(3*time.Hour), got.HoldExpiresAt)

		// Its time has passed, and the cap has not: it is taken up again. Then the cap
		// has passed as well.
		lapse(t, db, b.ID)
		got, err = store.Extend(t.Context(), b.ID, slot(0))
		require.NoError(t, err)
		require.Equal(t, b.CreatedAt.Add(2*time.Hour), got.HoldExpiresAt)
		lapse(t, db, b.ID)
		exec(t, db,
			`UPDATE booking_platform.bookings SET created_at = created_at - interval '2 hours' WHERE id = $1::uuid`,
			b.ID)
		_, err = store.Extend(t.Context(), b.ID, slot(0))
		require.ErrorIs(t, err, booking.ErrHoldExpired)
		_, err = store.ConfirmLate(t.Context(), b.ID)
		require.NoError(t, err, "its money may still come")
	})
}

func TestExtendNeverShortens(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		b := hold(t, store, request(slot(0)))
		later, err := store.Extend(t.Context(), b.ID, b.HoldExpiresAt.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, b.HoldExpiresAt.Add(time.Hour), later.HoldExpiresAt)
		earlier, err := store.Extend(t.Context(), b.ID, b.HoldExpiresAt)
		require.NoError(t, err)
		require.Equal(t, later.HoldExpiresAt, earlier.HoldExpiresAt)
	})
}

// A time that Postgres or JSON cannot write is refused before the database is asked, so a
// caller's transaction stays usable.
func TestExtendRefusesTimesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := hold(t, store, request(slot(0)))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	for _, until := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(1<<50, 0)} {
		_, err := store.Extend(t.Context(), b.ID, until)
		requireFields(t, err, "until")
		_, err = store.Tx(tx).Extend(t.Context(), b.ID, until)
		requireFields(t, err, "until")
	}
	got, err := store.Tx(tx).Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b, got)
}
