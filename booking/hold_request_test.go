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

func keyed(start time.Time) booking.HoldRequest {
	req := request(start)
	req.IdempotencyKey = "key"
	req.Metadata = map[string]string{"a": "1", "b": "2"}
	return req
}

func TestHold_RepeatReturnsSameBooking(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		resource := create(t, store, func(r *booking.Resource) { r.Capacity = 3 })
		first := hold(t, store, keyed(slot(0)))
		require.Equal(t, first, hold(t, store, keyed(slot(0))))

		req := keyed(slot(0).In(time.FixedZone("", 7200)))
		req.Resource, req.Party = resource.ID, 1
		req.Customer.Email = "ADA@Example.com"
		require.Equal(t, first, hold(t, store, req), "the same request in another form")

		for name, change := range map[string]func(*booking.HoldRequest){
			"start":     func(r *booking.HoldRequest) { r.Start = slot(1) },
			"party":     func(r *booking.HoldRequest) { r.Party = 2 },
			"name":      func(r *booking.HoldRequest) { r.Customer.LastName = "Byron" },
			"reference": func(r *booking.HoldRequest) { r.Reference = "other" },
			"metadata":  func(r *booking.HoldRequest) { r.Metadata = nil },
		} {
			req := keyed(slot(0))
			change(&req)
			_, err := store.Hold(t.Context(), req)
			require.ErrorIs(t, err, booking.ErrIdempotencyMismatch, name)
		}
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	})
}

// Another customer's booking is neither revealed nor a conflict, and using the key first
// does not reserve it.
func TestHold_SameKeyOtherCustomer(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store, err := booking.New(db, booking.Options{OwnerSecrets: secrets})
		require.NoError(t, err)
		create(t, store, func(r *booking.Resource) { r.Capacity = 5 })
		bobs := keyed(slot(0))
		bobs.Customer.Email = "bob@example.com"
		first := hold(t, store, bobs)
		adas := hold(t, store, keyed(slot(0)))
		require.NotEqual(t, first.ID, adas.ID)
		require.NotEqual(t, first.OwnerToken, adas.OwnerToken)
		other := keyed(slot(1))
		other.Customer.Email, other.Party = "carl@example.com", 2
		require.NotEqual(t, first.ID, hold(t, store, other).ID, "another request is no conflict")

		require.Equal(t, first, hold(t, store, bobs))
		require.Equal(t, adas, hold(t, store, keyed(slot(0))))
		again := keyed(slot(0))
		again.Customer.Email = "Bob@EXAMPLE.com"
		require.Equal(t, first, hold(t, store, again), "the e-mail's case does not matter")
		again.Party = 2
		_, err = store.Hold(t.Context(), again)
		require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)

		_, err = store.Release(t.Context(), adas.ID)
		require.NoError(t, err)
		require.Equal(t, first, hold(t, store, bobs), "a release frees the key of one customer")
		require.NotEqual(t, adas.ID, hold(t, store, keyed(slot(0))).ID)
	})
}

// Many customers use one key at once, each several times, and each gets one booking.
func TestHold_ConcurrentSameKeyManyCustomers(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 10 })
	requireSold(t, 24, concurrently(t, db, 24, func(store *booking.Store, client int) error {
		req := keyed(slot(0))
		req.Customer.Email = fmt.Sprintf("%d@example.com", client%6)
		_, err := store.Hold(context.Background(), req)
		return err
	}))
	require.Equal(t, 6, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	require.Equal(t, 6, count(t, db, `SELECT count(DISTINCT email) FROM booking_platform.bookings`))
}

func TestHold_ConcurrentRepeats(t *testing.T) {
	t.Parallel()
	eachLibrary(t, func(t *testing.T, db *sql.DB) {
		create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 5 })
		var mu sync.Mutex
		ids := map[string]int{}
		errs := concurrently(t, db, 20, func(store *booking.Store, _ int) error {
			b, err := store.Hold(context.Background(), keyed(slot(0)))
			mu.Lock()
			defer mu.Unlock()
			ids[b.ID]++
			return err
		})
		requireSold(t, 20, errs)
		require.Len(t, ids, 1)
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM booking_platform.bookings`))
	})
}

// The same request would now be refused: its slot is taken by this booking, has passed,
// is no longer a slot, or the resource is inactive.
func TestHold_RepeatOfRequestNowInvalid(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"taken":      `SELECT 1`,
		"passed":     `UPDATE booking_platform.resources SET notice_seconds = 864000`,
		"no slot":    `UPDATE booking_platform.resources SET step_seconds = 61`,
		"not active": `UPDATE booking_platform.resources SET active = false`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			store := newStore(t, db)
			create(t, store)
			first := hold(t, store, keyed(slot(0)))
			exec(t, db, change)
			require.Equal(t, first, hold(t, store, keyed(slot(0))))
			require.Equal(t, first, hold(t, newStore(t, db), keyed(slot(0))))
			_, err := store.Hold(t.Context(), request(slot(0)))
			require.Error(t, err)
			other := keyed(slot(0))
			other.Reference = "other"
			_, err = store.Hold(t.Context(), other)
			require.ErrorIs(t, err, booking.ErrIdempotencyMismatch)
		})
	}
}

// afterFirstQuery runs a function after the first query.
type afterFirstQuery struct {
	booking.Querier
	meddle func()
}

func (m *afterFirstQuery) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := m.Querier.QueryContext(ctx, query, args...)
	if meddle := m.meddle; meddle != nil {
		m.meddle = nil
		meddle()
	}
	return rows, err
}

// A repeat finds its slot taken and its key in use, and the booking is released
// meanwhile.
func TestHold_RepeatWhileReleased(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	first := hold(t, store, keyed(slot(0)))
	second, err := store.Tx(&afterFirstQuery{db, func() {
		_, err := store.Release(t.Context(), first.ID)
		require.NoError(t, err)
	}}).Hold(t.Context(), keyed(slot(0)))
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)
}

func TestHold_RepeatAfterEnd(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	first := hold(t, store, keyed(slot(0)))
	released, err := store.Release(t.Context(), first.ID)
	require.NoError(t, err)
	require.Empty(t, released.IdempotencyKey)
	second := hold(t, store, keyed(slot(0)))
	require.NotEqual(t, first.ID, second.ID, "a released hold frees its key")

	expireHolds(t, db, second.ID)
	_, err = store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	again := hold(t, store, keyed(slot(0)))
	require.Equal(t, second.ID, again.ID, "an expired hold keeps its key: the repeat returns it")
	require.Equal(t, booking.StatusExpired, again.Status)
}
