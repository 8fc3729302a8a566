package booking_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func free(r *booking.Resource) { r.Price.Minor = 0 }

const upcomingFreeSQL = `
SELECT count(*) FROM booking_platform.bookings
WHERE status = 'confirmed' AND amount_minor = 0 AND lower(during) > statement_timestamp()`

// M6: They count as open holds do, until they are cancelled or begin.
func TestHoldLimit_UpcomingFreeBookings(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withLimits(t, db, 2, 3)
		create(t, store, free)
		book := func(n int, email string) booking.Booking {
			t.Helper()
			b := hold(t, store, requestFrom(slot(n), email, "10.0.0.1"))
			b, err := store.Confirm(t.Context(), b.ID)
			require.NoError(t, err)
			return b
		}
		refused := func(email, scope string, limit int, until time.Time) {
			t.Helper()
			_, err := store.Hold(t.Context(), requestFrom(slot(50), email, "10.0.0.1"))
			requireLimit(t, err, scope, limit, until)
		}
		second := book(2, "ada@example.com")
		first := book(1, "ADA@example.com")
		refused("ada@example.com", booking.ScopeEmail, 2, first.Start)
		book(3, "bob@example.com")
		refused("carl@example.com", booking.ScopeClient, 3, first.Start)

		_, err := store.Reschedule(t.Context(), booking.RescheduleRequest{ID: first.ID, Start: slot(9)})
		require.NoError(t, err)
		refused("ada@example.com", booking.ScopeEmail, 2, second.Start)
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: second.ID})
		require.NoError(t, err)
		third := book(4, "ada@example.com")
		refused("ada@example.com", booking.ScopeEmail, 2, third.Start)
		moveToPast(t, db, third.ID)
		book(5, "ada@example.com")
		refused("ada@example.com", booking.ScopeEmail, 2, slot(5))
	})
}

func moveToPast(t *testing.T, db *sql.DB, id string) {
	t.Helper()
	exec(t, db, `UPDATE booking_platform.bookings SET during = s, blocked = s
		FROM (SELECT tstzrange(now() - interval '1 hour', now()) AS s) r WHERE id = $1::uuid`, id)
}

// M6: On several replicas, with holds confirmed and cancelled meanwhile, for a free offer
// and a paid slot.
func TestHoldLimit_ConcurrentFreeBookings(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db), func(r *booking.Resource) {
			r.Offers = []booking.Offer{{Slug: "free", Name: "Free", SlotLength: time.Hour,
				Price: booking.Money{Currency: "eur"}}}
		})
		stores := []*booking.Store{withLimits(t, db, 3, 7), withLimits(t, db, 3, 7), withLimits(t, db, 3, 7)}
		var start atomic.Int32
		errs := concurrently(t, db, 48, func(_ *booking.Store, client int) error {
			store := stores[client%len(stores)]
			for range 3 {
				req := requestFrom(slot(int(start.Add(1))), fmt.Sprintf("%d@example.com", client%4), "10.0.0.1")
				req.Offer = "free"
				b, err := store.Hold(context.Background(), req)
				if err != nil {
					return err
				}
				if _, err = store.Confirm(context.Background(), b.ID); err != nil {
					return err
				}
			}
			return nil
		})
		for _, err := range errs {
			if err != nil {
				require.ErrorIs(t, err, booking.ErrTooManyHolds)
			}
		}
		require.Equal(t, 7, count(t, db, upcomingFreeSQL))
		require.LessOrEqual(t, count(t, db, `SELECT max(n) FROM (SELECT count(*) AS n FROM booking_platform.bookings
			WHERE status = 'confirmed' GROUP BY email) c`), 3)
		require.Zero(t, count(t, db, strayQuotaRows))
	})
}

// M6: The sweep deletes the rows only once the bookings have begun.
func TestReleaseExpired_QuotaRowsOfFreeBookings(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := withLimits(t, db, 1, 1)
	create(t, store, free)
	b := hold(t, store, requestFrom(slot(0), ada.Email, "10.0.0.1"))
	_, err := store.Confirm(t.Context(), b.ID)
	require.NoError(t, err)
	sweep := func() {
		t.Helper()
		exec(t, db, expireDeadlineSQL, b.ID, time.Now().Add(-time.Hour))
		_, err := store.ReleaseExpired(t.Context())
		require.NoError(t, err)
	}
	sweep()
	require.Equal(t, 2, count(t, db, quotaRows))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.hold_deadlines WHERE free AND due_at = $1`,
		b.Start))
	backlog, err := store.Backlog(t.Context())
	require.NoError(t, err)
	require.Zero(t, backlog)
	_, err = store.Hold(t.Context(), requestFrom(slot(1), ada.Email, "10.0.0.1"))
	requireLimit(t, err, booking.ScopeEmail, 1, b.Start)
	moveToPast(t, db, b.ID)
	sweep()
	require.Zero(t, count(t, db, quotaRows))
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.hold_deadlines`))

	// Without limits there are no rows to wait for.
	other := hold(t, newStore(t, db), request(slot(2)))
	_, err = store.Confirm(t.Context(), other.ID)
	require.NoError(t, err)
	exec(t, db, expireDeadlineSQL, other.ID, time.Now().Add(-time.Hour))
	_, err = store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.hold_deadlines`))
}

// M21: Other clients' holds with a customer's e-mail do not use up the customer's limit.
func TestHoldLimit_SameEmailFromOtherClients(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withLimits(t, db, 3, 100)
		create(t, store, func(r *booking.Resource) { r.Capacity = 100 })
		for client := range 5 {
			for n := range 3 {
				hold(t, store, requestFrom(slot(n), "victim@example.com", fmt.Sprintf("203.0.113.%d", client)))
			}
			_, err := store.Hold(t.Context(),
				requestFrom(slot(9), "victim@example.com", fmt.Sprintf("203.0.113.%d", client)))
			require.ErrorIs(t, err, booking.ErrTooManyHolds)
		}
		for n := range 3 {
			hold(t, store, requestFrom(slot(n), "victim@example.com", "198.51.100.7"))
		}
		_, err := store.Hold(t.Context(), requestFrom(slot(9), "victim@example.com", "198.51.100.7"))
		require.ErrorIs(t, err, booking.ErrTooManyHolds)
		// Requests without a client count as one client.
		for n := range 3 {
			hold(t, store, requestFrom(slot(n), "victim@example.com", ""))
		}
		_, err = store.Hold(t.Context(), requestFrom(slot(9), "victim@example.com", ""))
		require.ErrorIs(t, err, booking.ErrTooManyHolds)
	})
}

func withEmailLimit(t *testing.T, db *sql.DB) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{MaxHoldsPerEmail: 3, MaxHoldsPerEmailAnywhere: 4,
		MaxHoldsPerClient: 100})
	require.NoError(t, err)
	return store
}

// M21: It refuses the second hold of a client, never the first.
func TestHoldLimit_EmailOverAllClients(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withEmailLimit(t, db)
		create(t, store, func(r *booking.Resource) { r.Capacity = 100 })
		var first booking.Booking
		for client := range 2 {
			for n := range 3 {
				b := hold(t, store, requestFrom(slot(n), "victim@example.com", fmt.Sprintf("203.0.113.%d", client)))
				if client == 0 && n == 1 {
					first = b
				}
			}
		}
		own := hold(t, store, requestFrom(slot(0), "victim@example.com", "198.51.100.7"))
		_, err := store.Hold(t.Context(), requestFrom(slot(1), "victim@example.com", "198.51.100.7"))
		requireLimit(t, err, booking.ScopeAnywhere, 4, first.HoldExpiresAt)
		require.EqualError(t, err, "booking: hold: too many open holds: 4 for one e-mail address from all clients")
		_, err = store.Confirm(t.Context(), own.ID)
		require.NoError(t, err)
		hold(t, store, requestFrom(slot(1), "victim@example.com", "198.51.100.7"))
		_, err = store.Hold(t.Context(), requestFrom(slot(2), "victim@example.com", "198.51.100.7"))
		require.ErrorIs(t, err, booking.ErrTooManyHolds)
		hold(t, store, requestFrom(slot(2), "other@example.com", "198.51.100.7"))
		_, err = store.Release(t.Context(), first.ID)
		require.NoError(t, err)
		hold(t, store, requestFrom(slot(2), "victim@example.com", "198.51.100.7"))
	})
}

// M21: Both limits of an e-mail are exact: one hold per client, and four more.
func TestHoldLimit_ConcurrentEmailOverAllClients(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db))
		stores := []*booking.Store{withEmailLimit(t, db), withEmailLimit(t, db)}
		for _, err := range concurrently(t, db, 50, func(_ *booking.Store, client int) error {
			_, err := stores[client%2].Hold(context.Background(),
				requestFrom(slot(client), "ada@example.com", fmt.Sprintf("10.0.0.%d", client%5)))
			return err
		}) {
			if err != nil {
				require.ErrorIs(t, err, booking.ErrTooManyHolds)
			}
		}
		require.Equal(t, 5+4, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
		require.LessOrEqual(t, count(t, db, `SELECT max(n) FROM (SELECT count(*) AS n FROM booking_platform.hold_quota
			WHERE scope = 'email' GROUP BY key) c`), 3)
		require.Equal(t, 4, count(t, db, `SELECT count(*) FROM booking_platform.hold_quota WHERE scope = 'anywhere'`))
		require.Zero(t, count(t, db, strayQuotaRows))
	})
}
