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

func withLimits(t testing.TB, db *sql.DB, perEmail, perClient int) *booking.Store {
	t.Helper()
	store, err := booking.New(db, booking.Options{MaxHoldsPerEmail: perEmail, MaxHoldsPerClient: perClient})
	require.NoError(t, err)
	return store
}

func requestFrom(start time.Time, email, client string) booking.HoldRequest {
	req := request(start)
	req.Customer.Email, req.Client = email, client
	return req
}

// requireLimit checks a HoldLimitError.
func requireLimit(t *testing.T, err error, scope string, limit int, until time.Time) {
	t.Helper()
	require.ErrorIs(t, err, booking.ErrTooManyHolds)
	require.NotErrorIs(t, err, booking.ErrSlotTaken)
	var met *booking.HoldLimitError
	require.ErrorAs(t, err, &met)
	require.Equal(t, booking.HoldLimitError{Scope: scope, Limit: limit, Until: until}, *met)
}

// Rows of the quota table without an open hold.
const (
	quotaRows      = `SELECT count(*) FROM booking_platform.hold_quota`
	strayQuotaRows = `
SELECT count(*) FROM booking_platform.hold_quota q LEFT JOIN booking_platform.bookings b ON b.id = q.booking_id
WHERE b.id IS NULL`
	strayHistory = `
SELECT (SELECT count(*) FROM booking_platform.booking_history h
        LEFT JOIN booking_platform.bookings b ON b.id = h.booking_id WHERE b.id IS NULL)
     + (SELECT count(*) FROM booking_platform.hold_deadlines d
        LEFT JOIN booking_platform.bookings b ON b.id = d.booking_id WHERE b.id IS NULL)`
)

func TestHoldLimit_OpenHolds(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withLimits(t, db, 2, 3)
		create(t, store, func(r *booking.Resource) { r.Capacity = 20 })
		first := hold(t, store, requestFrom(slot(0), "ada@example.com", "10.0.0.1"))
		second := hold(t, store, requestFrom(slot(1), "ADA@Example.com", "10.0.0.1"))
		_, err := store.Hold(t.Context(), requestFrom(slot(2), "Ada@example.com", "10.0.0.1"))
		requireLimit(t, err, "email", 2, first.HoldExpiresAt)
		require.EqualError(t, err, "booking: hold: too many open holds: 2 for one e-mail address")
		other := hold(t, store, requestFrom(slot(2), "bob@example.com", "10.0.0.1"))
		_, err = store.Hold(t.Context(), requestFrom(slot(2), "carl@example.com", "10.0.0.1"))
		requireLimit(t, err, "client", 3, first.HoldExpiresAt)
		require.EqualError(t, err, "booking: hold: too many open holds: 3 for one client")
		_, err = store.Hold(t.Context(), requestFrom(slot(2), "ada@example.com", "10.0.0.1"))
		requireLimit(t, err, "email", 2, first.HoldExpiresAt)
		for n := range 4 {
			hold(t, store, requestFrom(slot(3), fmt.Sprintf("%d@example.com", n), ""))
		}
		require.Equal(t, 3+3+4, count(t, db, quotaRows), "no limit without a client")

		// Each way to end a hold frees its row.
		_, err = store.Confirm(t.Context(), first.ID)
		require.NoError(t, err)
		third := hold(t, store, requestFrom(slot(4), "ada@example.com", "10.0.0.1"))
		_, err = store.Hold(t.Context(), requestFrom(slot(2), "ada@example.com", "10.0.0.1"))
		requireLimit(t, err, "email", 2, second.HoldExpiresAt)
		_, err = store.Cancel(t.Context(), booking.CancelRequest{ID: second.ID})
		require.NoError(t, err)
		fourth := hold(t, store, requestFrom(slot(4), "ada@example.com", "10.0.0.1"))
		_, err = store.Release(t.Context(), third.ID)
		require.NoError(t, err)
		fifth := hold(t, store, requestFrom(slot(4), "ada@example.com", "10.0.0.1"))
		expireHolds(t, db, fourth.ID)
		hold(t, store, requestFrom(slot(4), "ada@example.com", "10.0.0.1"))
		expireHolds(t, db, other.ID, fifth.ID)
		_, err = store.ReleaseExpired(t.Context())
		require.NoError(t, err)
		hold(t, store, requestFrom(slot(4), "ada@example.com", "10.0.0.1"))
		_, err = store.Hold(t.Context(), requestFrom(slot(4), "ada@example.com", "10.0.0.1"))
		require.ErrorIs(t, err, booking.ErrTooManyHolds)
		require.Zero(t, count(t, db, strayQuotaRows))
		require.Zero(t, count(t, db, strayHistory))
	})
}

// By one e-mail, by one client with many e-mails, and both.
func TestHoldLimit_Concurrent(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db))
		stores := []*booking.Store{withLimits(t, db, 3, 4), withLimits(t, db, 3, 4), withLimits(t, db, 3, 4)}
		var mu sync.Mutex
		round := func(want int, req func(client int) booking.HoldRequest) {
			t.Helper()
			var held []string
			errs := concurrently(t, db, 32, func(_ *booking.Store, client int) error {
				b, err := stores[client%len(stores)].Hold(context.Background(), req(client))
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					held = append(held, b.ID)
				}
				return err
			})
			for _, err := range errs {
				if err != nil {
					require.ErrorIs(t, err, booking.ErrTooManyHolds)
				}
			}
			require.Len(t, held, want)
			require.Equal(t, want, count(t, db, `SELECT count(*) FROM booking_platform.bookings
				WHERE status = 'pending' AND hold_expires_at > statement_timestamp()`))
			require.Zero(t, count(t, db, strayQuotaRows))
			require.Zero(t, count(t, db, strayHistory))
			requireHistory(t, db)
			for n, id := range held {
				if n%2 == 0 {
					expireHolds(t, db, id)
					continue
				}
				_, err := stores[0].Release(t.Context(), id)
				require.NoError(t, err)
			}
		}
		for n := range 2 {
			round(3, func(client int) booking.HoldRequest {
				return requestFrom(slot(100*n+client), "ada@example.com", "10.0.0.2")
			})
			round(4, func(client int) booking.HoldRequest {
				return requestFrom(slot(100*n+50+client), fmt.Sprintf("%d@example.com", client), "10.0.0.1")
			})
			// Each of the 32 requests meets both limits.
			round(4, func(client int) booking.HoldRequest {
				return requestFrom(slot(300+100*n+client), fmt.Sprintf("%d@example.com", client%2), "10.0.0.1")
			})
		}
	})
}

// The loser of a slot holds as many others as before.
func TestHoldLimit_LostSlotLeavesNoQuotaRow(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db))
	stores := []*booking.Store{withLimits(t, db, 3, 100), withLimits(t, db, 3, 100)}
	for n := range 3 {
		requireSold(t, 1, concurrently(t, db, 32, func(_ *booking.Store, client int) error {
			_, err := stores[client%2].Hold(context.Background(),
				requestFrom(slot(n), fmt.Sprintf("%d@example.com", client), "10.0.0.1"))
			return err
		}))
		require.Equal(t, 2*(n+1), count(t, db, quotaRows))
		require.Zero(t, count(t, db, strayQuotaRows))
	}
}

func TestHoldLimit_RepeatIsNotCounted(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withLimits(t, db, 1, 1)
		create(t, store, func(r *booking.Resource) { r.Capacity = 3 })
		req := keyed(slot(0))
		req.Client = "10.0.0.1"
		first := hold(t, store, req)
		require.Equal(t, first, hold(t, store, req))
		req.Client = "10.0.0.2"
		require.Equal(t, first, hold(t, store, req), "the client is not part of the hash")
		confirmed, err := store.Confirm(t.Context(), first.ID)
		require.NoError(t, err)
		hold(t, store, requestFrom(slot(1), ada.Email, "10.0.0.1"))
		require.Equal(t, confirmed, hold(t, store, req))
		req.Reference = "another"
		_, err = store.Hold(t.Context(), req)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
		require.Equal(t, 2, count(t, db, quotaRows))
		again := keyed(slot(2))
		again.IdempotencyKey, again.Customer.Email = "other", "bob@example.com"
		for _, err := range concurrently(t, db, 12, func(*booking.Store, int) error {
			_, err := store.Hold(context.Background(), again)
			return err
		}) {
			require.NoError(t, err)
		}
		require.Zero(t, count(t, db, strayQuotaRows))
	})
}

// A refusal leaves the transaction usable.
func TestHoldLimit_InCallersTx(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := withLimits(t, db, 2, 0)
		create(t, store)
		for _, commit := range []bool{false, true} {
			tx, err := db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			joined := store.Tx(tx)
			b, err := joined.Hold(t.Context(), request(slot(0)))
			require.NoError(t, err)
			_, err = joined.Hold(t.Context(), request(slot(1)))
			require.NoError(t, err)
			_, err = joined.Hold(t.Context(), request(slot(2)))
			requireLimit(t, err, "email", 2, b.HoldExpiresAt)
			_, err = joined.Confirm(t.Context(), b.ID)
			require.NoError(t, err, "usable after a refusal, and sees its own changes")
			_, err = joined.Hold(t.Context(), request(slot(2)))
			require.NoError(t, err)
			if !commit {
				require.NoError(t, tx.Rollback())
				require.Zero(t, count(t, db, quotaRows))
				continue
			}
			require.NoError(t, tx.Commit())
		}
		_, err := store.Hold(t.Context(), request(slot(5)))
		require.ErrorIs(t, err, booking.ErrTooManyHolds)
	})
}

func TestHoldLimit_ConcurrentInCallersTx(t *testing.T) {
	t.Parallel()
	for name, level := range levels {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			create(t, newStore(t, db))
			store := withLimits(t, db, 3, 5)
			sold := 0
			for _, err := range concurrently(t, db, 20, func(_ *booking.Store, client int) error {
				return holdInTx(db, store, level, requestFrom(slot(client), "ada@example.com", "10.0.0.1"))
			}) {
				if err == nil {
					sold++
					continue
				}
				require.ErrorIs(t, err, booking.ErrTooManyHolds)
			}
			require.Equal(t, 3, sold)
			require.Zero(t, count(t, db, strayQuotaRows))
		})
	}
}

func TestReleaseExpired_DeletesQuotaRows(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := withLimits(t, db, 10, 10)
	create(t, store)
	var ids []string
	for n := range 4 {
		ids = append(ids, hold(t, store, requestFrom(slot(n), ada.Email, "10.0.0.1")).ID)
	}
	_, err := store.Confirm(t.Context(), ids[0])
	require.NoError(t, err)
	exec(t, db, expireDeadlineSQL, ids[0], time.Now().Add(-time.Hour))
	expireHolds(t, db, ids[1])
	exec(t, db, expireDeadlineSQL, ids[2], time.Now().Add(-time.Hour))
	require.Equal(t, 8, count(t, db, quotaRows))
	_, err = store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	require.Equal(t, 4, count(t, db, quotaRows))
	require.Equal(t, 4,
		count(t, db, `SELECT count(*) FROM booking_platform.hold_quota WHERE booking_id IN ($1::uuid, $2::uuid)`,
			ids[2], ids[3]))
}

func TestReleaseExpired_SkipsLockedQuotaRow(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := withLimits(t, db, 1, 0)
	create(t, store)
	expireHolds(t, db, hold(t, store, request(slot(0))).ID)
	tx, err := db.BeginTx(t.Context(), readCommitted)
	require.NoError(t, err)
	_, err = store.Tx(tx).Hold(t.Context(), request(slot(1)))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	released, err := store.ReleaseExpired(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, released)
	require.NoError(t, tx.Commit())
	require.Equal(t, 1, count(t, db, quotaRows))
	_, err = store.Hold(t.Context(), request(slot(2)))
	require.ErrorIs(t, err, booking.ErrTooManyHolds)
}

// Between a second and an hour, whatever the clocks say.
func TestHoldLimitError_RetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC)
	for want, until := range map[time.Duration]time.Time{
		time.Second: now.Add(-time.Hour), 2 * time.Second: now.Add(1500 * time.Millisecond),
		30 * time.Minute: now.Add(30 * time.Minute), time.Hour: now.AddDate(0, 0, 7),
	} {
		require.Equal(t, want, (&booking.HoldLimitError{Until: until}).RetryAfter(now))
	}
}

// What counts as one client, and what does not.
func TestHoldLimit_ClientAddresses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b string
		same bool
	}{
		"two ports":                    {"192.0.2.1:50000", "192.0.2.1:50001", true},
		"with and without a port":      {"192.0.2.1:50000", "192.0.2.1", true},
		"two addresses":                {"192.0.2.1:50000", "192.0.2.2:50000", false},
		"IPv6, two ports":              {"[2001:db8::1]:1", "[2001:db8::1]:2", true},
		"IPv6, with and without":       {"[2001:db8::1]:1", "2001:db8::1", true},
		"IPv6, brackets alone":         {"[2001:db8::1]", "2001:db8::1", true},
		"IPv6, two ways to write it":   {"2001:DB8:0::1", "2001:db8::1", true},
		"IPv4 mapped to IPv6":          {"[::ffff:192.0.2.1]:1", "192.0.2.1:2", true},
		"IPv6, one zone":               {"[fe80::1%eth0]:1", "fe80::1%eth0", true},
		"IPv6, two zones":              {"[fe80::1%eth0]:1", "[fe80::1%eth1]:1", false},
		"IPv6, a group like a port":    {"2001:db8::1:1", "2001:db8::1:2", false},
		"two networks":                 {"2001:db8::/64", "2001:db8:1::/64", false},
		"ids with a colon":             {"user:1", "user:2", false},
		"names with a port":            {"host.example:1", "host.example:2", false},
		"a port that is none":          {"192.0.2.1:99999", "192.0.2.1", false},
		"Unix sockets have no address": {"@", "@", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := withLimits(t, testdb.New(t), 0, 1)
			create(t, store)
			first := hold(t, store, requestFrom(slot(0), "ada@example.com", c.a))
			_, err := store.Hold(t.Context(), requestFrom(slot(1), "bob@example.com", c.b))
			if !c.same {
				require.NoError(t, err)
				return
			}
			requireLimit(t, err, booking.ScopeClient, 1, first.HoldExpiresAt)
		})
	}
}
