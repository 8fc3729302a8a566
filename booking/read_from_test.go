package booking_test

import (
	"context"
	"database/sql"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// readingFrom is a store that may read from another database, and how often it asked.
func readingFrom(t *testing.T, db, behind *sql.DB) (*booking.Store, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	store, err := booking.New(db, booking.Options{ReadFrom: func(context.Context) *sql.DB {
		asked.Add(1)
		return behind
	}})
	require.NoError(t, err)
	return store, &asked
}

// Reads that decide nothing use the other database; what it lacks is asked of the store's
// own.
func TestReadFrom_Reads(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store, asked := readingFrom(t, db, testdb.New(t))
	create(t, store)
	req := request(slot(0))
	req.Reference = "order 7"
	b := hold(t, store, req)
	got, err := store.Get(t.Context(), b.ID)
	require.NoError(t, err)
	require.Equal(t, b.ID, got.ID)
	all, err := store.Resources(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Zero(t, asked.Load(), "holds, bookings and resources are of the store's own database")

	page, err := store.List(t.Context(), booking.ListOptions{})
	require.NoError(t, err)
	require.Empty(t, page.Bookings)
	counted, err := store.Count(t.Context(), booking.ListOptions{})
	require.NoError(t, err)
	require.Zero(t, counted.N)
	require.EqualValues(t, 2, asked.Load())

	// A customer has just booked, or a program asks whether it has.
	for name, opts := range map[string]booking.ListOptions{
		"customer": {Customer: b.Customer.Email}, "reference": {Reference: b.Reference}, "number": {Number: b.Number},
	} {
		page, err = store.List(t.Context(), opts)
		require.NoError(t, err)
		require.Len(t, page.Bookings, 1, name)
		counted, err = store.Count(t.Context(), opts)
		require.NoError(t, err)
		require.Equal(t, 1, counted.N, name)
	}
	require.EqualValues(t, 2, asked.Load())

	// The resource does not exist there.
	slots, err := store.Slots(t.Context(), "court", slot(0), slot(2), 1)
	require.NoError(t, err)
	require.Len(t, slots, 1)
	_, err = store.NextSlot(t.Context(), booking.NextSlotRequest{Resource: "court"})
	require.NoError(t, err)
	_, err = store.Slots(t.Context(), "nothing", slot(0), slot(2), 1)
	require.ErrorIs(t, err, booking.ErrNotFound)
	_, err = store.List(t.Context(), booking.ListOptions{Limit: -1})
	requireFields(t, err, "limit")
}

// Free slots are those of the other database, by its rules, and the hold decides.
func TestReadFrom_SlotAlreadySold(t *testing.T) {
	t.Parallel()
	db, behind := testdb.New(t), testdb.New(t)
	r := create(t, newStore(t, db))
	create(t, newStore(t, behind))
	// As a standby has it.
	exec(t, behind, `UPDATE booking_platform.resources SET id = $1::uuid`, r.ID)
	store, _ := readingFrom(t, db, behind)
	sold := hold(t, store, request(slot(0)))
	slots, err := store.Slots(t.Context(), "court", slot(0), slot(1), 1)
	require.NoError(t, err)
	require.Len(t, slots, 1)
	require.True(t, slots[0].Start.Equal(sold.Start))
	_, err = store.Hold(t.Context(), request(slot(0)))
	require.ErrorIs(t, err, booking.ErrSlotTaken)

	// Later rules of the primary: each database is read by its own.
	exec(t, db, `UPDATE booking_platform.resources SET active = false`)
	_, err = store.Hold(t.Context(), request(slot(1)))
	requireFields(t, err, "resource")
	slots, err = store.Slots(t.Context(), "court", slot(0), slot(1), 1)
	require.NoError(t, err)
	require.Len(t, slots, 1)
	_, err = store.Hold(t.Context(), request(slot(1)))
	requireFields(t, err, "resource")
}

// Rules of the other database do not replace later ones, which a checkout shows after a
// hold.
func TestReadFrom_LaterRulesAreKept(t *testing.T) {
	t.Parallel()
	db, behind := testdb.New(t), testdb.New(t)
	store, _ := readingFrom(t, db, behind)
	r := create(t, store)
	create(t, newStore(t, behind))
	exec(t, behind, `UPDATE booking_platform.resources SET id = $1::uuid`, r.ID)
	exec(t, db, `UPDATE booking_platform.resources SET name = 'New name'`)
	hold(t, store, request(slot(0)))
	slots, err := store.Slots(t.Context(), "court", slot(0), slot(1), 1)
	require.NoError(t, err)
	require.Len(t, slots, 1, "of the other database")
	cached, err := store.CachedResource(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, "New name", cached.Name)
}

// A database that cannot be read has no effect, nor has one that hangs for longer than two
// seconds.
func TestReadFrom_Unusable(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db))
	closed := testdb.New(t)
	require.NoError(t, closed.Close())
	hanging := testdb.New(t)
	tx, err := hanging.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	exec(t, tx, `LOCK TABLE booking_platform.bookings, booking_platform.resources`)
	for name, behind := range map[string]*sql.DB{"closed": closed, "hanging": hanging} {
		store, asked := readingFrom(t, db, behind)
		hold(t, store, request(slot(len(name))))
		page, err := store.List(t.Context(), booking.ListOptions{})
		require.NoError(t, err, name)
		require.NotEmpty(t, page.Bookings, name)
		slots, err := store.Slots(t.Context(), "court", slot(0), slot(24), 1)
		require.NoError(t, err, name)
		require.NotEmpty(t, slots, name)
		require.EqualValues(t, 2, asked.Load(), name)
	}
}
