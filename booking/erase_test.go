package booking_test

import (
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func toPast(t testing.TB, db booking.Querier, id string, days int) {
	t.Helper()
	exec(t, db, `UPDATE booking_platform.bookings SET
		during = tstzrange(lower(during) - make_interval(days => $2), upper(during) - make_interval(days => $2), '[)'),
		blocked = tstzrange(lower(blocked) - make_interval(days => $2),
			upper(blocked) - make_interval(days => $2), '[)')
		WHERE id = $1::uuid`, id, days)
}

// personalRows counts the bookings in whose row, or history, the customer is.
const personalRows = `SELECT count(DISTINCT b.id) FROM booking_platform.bookings b
	LEFT JOIN booking_platform.booking_history h ON h.booking_id = b.id
	WHERE lower(b::text) LIKE '%ada@%' OR lower(b::text) LIKE '%lovelace%' OR lower(h::text) LIKE '%lovelace%'
	OR b::text LIKE '%7946 0018%'`

// erasable has her name in every text.
func erasable(t testing.TB, store *booking.Store, nth int) booking.Booking {
	t.Helper()
	req := request(slot(nth))
	req.Customer.Phone, req.Note = "+44 20 7946 0018", "Ms Lovelace has a dog"
	req.IdempotencyKey, req.Client = "Lovelace's key "+req.Start.String(), "net"
	req.Metadata = map[string]string{"n": "Lovelace"}
	return hold(t, store, req)
}

func TestErase_EachStatus(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store, err := booking.New(db, booking.Options{OwnerSecrets: secrets, MaxHoldsPerEmail: 50,
			MaxHoldsPerEmailAnywhere: 50})
		require.NoError(t, err)
		create(t, store)
		do := func(_ booking.Booking, err error) { t.Helper(); require.NoError(t, err) }
		var over, needed []string
		for nth, c := range []struct {
			over    bool
			prepare func(id string)
		}{
			{false, func(string) {}},
			{false, func(id string) { do(store.Confirm(t.Context(), id)) }},
			{true, func(id string) { do(store.Confirm(t.Context(), id)); toPast(t, db, id, 30) }},
			{true, func(id string) { do(store.Release(t.Context(), id)) }},
			{true, func(id string) {
				do(store.Confirm(t.Context(), id))
				do(store.Cancel(t.Context(), booking.CancelRequest{ID: id, Reason: "Ms Lovelace is ill"}))
			}},
			{true, func(id string) {
				expireHolds(t, db, id)
				_, err := store.ReleaseExpired(t.Context())
				require.NoError(t, err)
			}},
			{true, func(id string) {
				do(store.Confirm(t.Context(), id))
				toPast(t, db, id, 30)
				do(store.Complete(t.Context(), id))
			}},
			{true, func(id string) {
				do(store.Confirm(t.Context(), id))
				toPast(t, db, id, 30)
				do(store.NoShow(t.Context(), id))
			}},
		} {
			b := erasable(t, store, nth)
			c.prepare(b.ID)
			if c.over {
				over = append(over, b.ID)
			} else {
				needed = append(needed, b.ID)
			}
		}
		before := map[string]booking.Booking{}
		for _, id := range over {
			b, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			before[id] = b
		}
		dry, err := store.EraseCustomer(t.Context(), "ADA@example.com", booking.EraseOptions{DryRun: true})
		require.NoError(t, err)
		erased, err := store.EraseCustomer(t.Context(), "ADA@example.com", booking.EraseOptions{})
		require.NoError(t, err)
		require.Equal(t, erased, dry)
		require.Equal(t, len(over), erased.Bookings)
		require.Equal(t, 1, erased.Changes)
		require.Equal(t, needed, erased.NotOver)
		require.Equal(t, len(needed), count(t, db, personalRows))

		for _, id := range over {
			got, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			want := before[id]
			want.Customer, want.Note, want.IdempotencyKey, want.Metadata = booking.Customer{}, "", "", nil
			want.UpdatedAt = got.UpdatedAt
			require.Equal(t, want, got, "the rest stays")
			linked, err := store.WithOwnerToken(t.Context(), id)
			require.NoError(t, err)
			require.Empty(t, linked.OwnerToken)
		}
		again, err := store.Erase(t.Context(), append(over, "no id"), booking.EraseOptions{})
		require.NoError(t, err)
		require.Zero(t, again)
		requireInvariants(t, db)
		requireHistory(t, db)
	})
}

// A cancellation that is committed while an erasure waits leaves no reason behind.
func TestErase_WaitsForCancellation(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	b := erasable(t, store, 0)
	_, err := store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	tx, err := db.BeginTx(t.Context(), readCommitted)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	_, err = store.Tx(tx).Cancel(t.Context(), booking.CancelRequest{ID: b.ID, Reason: "Ms Lovelace is ill"})
	require.NoError(t, err)
	type answer struct {
		erased booking.Erasure
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		erased, err := store.Erase(context.Background(), []string{b.ID}, booking.EraseOptions{})
		done <- answer{erased, err}
	}()
	waitForLock(t, db)
	require.NoError(t, tx.Commit())
	got := <-done
	require.NoError(t, got.err)
	require.Equal(t, booking.Erasure{Bookings: 1, Changes: 1}, got.erased)
	require.Zero(t, count(t, db, personalRows))
}

// The customer can book with the same key, and is found again.
func TestErase_CustomerReturns(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	req := request(slot(0))
	req.IdempotencyKey = "key"
	first := hold(t, store, req)
	_, err := store.Confirm(t.Context(), first.ID)
	require.NoError(t, err)
	_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: first.ID})
	require.NoError(t, err)
	_, err = store.EraseCustomer(t.Context(), ada.Email, booking.EraseOptions{})
	require.NoError(t, err)
	second := hold(t, store, req)
	require.NotEqual(t, first.ID, second.ID)
	ids, err := store.CustomerBookings(t.Context(), ada.Email)
	require.NoError(t, err)
	require.Equal(t, []string{second.ID}, ids)
	ids, err = store.CustomerBookings(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, ids, "an empty address is no customer")
}

func TestEraseActor_OnlyThatActor(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		create(t, store)
		b := hold(t, store, request(slot(0)))
		for _, actor := range []string{"user:Ada@example.com", "user:ada@example.com.au", "customer"} {
			exec(t, db, `INSERT INTO booking_platform.booking_history (booking_id, from_status, to_status, actor)
				SELECT $1::uuid, 'pending', 'pending', $2::text FROM generate_series(1, 3000)`, b.ID, actor)
		}
		n, err := store.EraseActor(t.Context(), "user:ada@example.com")
		require.NoError(t, err)
		require.Equal(t, 3000, n)
		actors := map[string]int{"user:erased": 3000, "user:ada@example.com.au": 3000, "customer": 3000}
		for actor, want := range actors {
			require.Equal(t, want,
				count(t, db, `SELECT count(*) FROM booking_platform.booking_history WHERE actor = $1::text`, actor))
		}
		n, err = store.EraseActor(t.Context(), "user:ada@example.com")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

func TestErasePast_KeepsAndContinues(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		off := newStore(t, db)
		create(t, off)
		var keep []string
		asked := 0
		store, err := booking.New(db, booking.Options{PersonalDataFor: 100 * 24 * time.Hour,
			KeepPersonalData: func(_ context.Context, ids []string) ([]string, error) {
				asked += len(ids)
				kept := slices.Clone(keep)
				return slices.DeleteFunc(kept, func(id string) bool { return !slices.Contains(ids, id) }), nil
			}})
		require.NoError(t, err)
		for nth, days := range []int{0, 50, 99, 200, 300, 400} {
			b := erasable(t, store, nth)
			if days > 0 {
				_, err := store.Confirm(t.Context(), b.ID)
				require.NoError(t, err)
				toPast(t, db, b.ID, days)
			}
			if days == 300 {
				keep = []string{b.ID}
			}
		}
		// Two pages of bookings of which nothing is left to erase.
		exec(t, db, `
			INSERT INTO booking_platform.bookings (
				id, resource_id, units, party, during, blocked, status, hold_expires_at, amount_minor, currency)
			SELECT gen_random_uuid(), r.id, '{[1,2)}', 1, s, s, 'completed', lower(s), 0, 'eur'
			FROM booking_platform.resources r, generate_series(1, 3000) n,
				LATERAL (SELECT tstzrange(now() - interval '500 days' + n * interval '1 minute',
					now() - interval '500 days' + (n + 1) * interval '1 minute')) AS t(s)`)
		n, err := off.ErasePast(t.Context())
		require.NoError(t, err)
		require.Zero(t, n, "off by default")
		n, err = store.ErasePast(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Equal(t, 3, asked)
		require.Equal(t, 4, count(t, db, personalRows))
		for range 2 {
			n, err = store.ErasePast(t.Context())
			require.NoError(t, err)
			require.Zero(t, n)
		}
		require.Equal(t, 5, asked, "the one that is kept is asked about in each run")
		keep = nil
		n, err = store.ErasePast(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
}

func TestErasePast_HookFails(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store, err := booking.New(db, booking.Options{PersonalDataFor: time.Hour,
		KeepPersonalData: func(context.Context, []string) ([]string, error) { return nil, sql.ErrConnDone }})
	require.NoError(t, err)
	create(t, store)
	b := erasable(t, store, 0)
	_, err = store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	toPast(t, db, b.ID, 10)
	_, err = store.ErasePast(t.Context())
	require.ErrorIs(t, err, sql.ErrConnDone)
	require.ErrorContains(t, err, "erase past bookings")
	require.NotZero(t, count(t, db, personalRows))
}
