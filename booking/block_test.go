package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

func TestBlock_PartOfTheUnitsOffGrid(t *testing.T) {
	t.Parallel()
	testdb.EachDriver(t, func(t *testing.T, db *sql.DB) {
		store := newStore(t, db)
		r := create(t, store, overlappingSlots(3))
		ctx := booking.WithActor(t.Context(), "user:ada")
		// A part of the units, not aligned to slots.
		from, to := slot(0).Add(7*time.Minute), slot(0).Add(50*time.Minute)
		got, err := store.Block(ctx, booking.BlockRequest{Resource: "court", From: from, To: to, Units: 2,
			Reason: "new floor"})
		require.NoError(t, err)
		require.Equal(t, booking.Booking{
			ID: got.ID, Number: got.Number, Kind: booking.KindBlock, ResourceID: r.ID, Start: from, End: to, Party: 2,
			Status:        booking.StatusConfirmed,
			HoldExpiresAt: got.HoldExpiresAt, Amount: booking.Money{Currency: "eur"}, CreatedAt: got.CreatedAt,
			UpdatedAt: got.UpdatedAt,
		}, got)
		stored, err := store.Get(t.Context(), got.ID)
		require.NoError(t, err)
		require.Equal(t, got, stored)
		history, err := store.History(t.Context(), got.ID)
		require.NoError(t, err)
		require.Equal(t, []booking.Change{{At: history[0].At, To: booking.StatusConfirmed, Actor: "user:ada",
			Reason: "new floor"}}, history)

		remaining := func(start time.Time) int {
			slots, err := store.Slots(t.Context(), "court", start, start.Add(time.Minute), 1)
			require.NoError(t, err)
			if len(slots) == 0 {
				return 0
			}
			return slots[0].Remaining
		}
		require.Equal(t, 1, remaining(slot(0)))
		require.Equal(t, 3, remaining(slot(1)))
		req := request(slot(0))
		req.Party = 2
		_, err = store.Hold(t.Context(), req)
		require.ErrorIs(t, err, booking.ErrSlotTaken)
		req.Party = 1
		hold(t, store, req)

		// All units, in the past, of an inactive resource.
		exec(t, db, `UPDATE booking_platform.resources SET active = false`)
		all, err := store.Block(ctx, booking.BlockRequest{Resource: strings.ToUpper(r.ID), From: slot(-100),
			To: slot(-50)})
		require.NoError(t, err)
		require.Equal(t, 3, all.Party)
		exec(t, db, `UPDATE booking_platform.resources SET active = true`)

		ended, err := store.Cancel(t.Context(), booking.CancelRequest{ID: got.ID, Reason: "done"})
		require.NoError(t, err)
		require.Equal(t, booking.StatusCancelled, ended.Status)
		require.Equal(t, 2, remaining(slot(0)))
		requireInvariants(t, db)
	})
}

func TestBlock_InvalidRequest(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
	valid := booking.BlockRequest{Resource: "court", From: slot(0), To: slot(1)}
	for field, change := range map[string]func(*booking.BlockRequest){
		"resource": func(r *booking.BlockRequest) { r.Resource = "" },
		"from":     func(r *booking.BlockRequest) { r.From = time.Time{} },
		"to":       func(r *booking.BlockRequest) { r.To = r.From },
		"units":    func(r *booking.BlockRequest) { r.Units = -1 },
		"reason":   func(r *booking.BlockRequest) { r.Reason = strings.Repeat("x", 501) },
	} {
		req := valid
		change(&req)
		_, err := store.Block(t.Context(), req)
		requireFields(t, err, field)
	}
	for field, change := range map[string]func(*booking.BlockRequest){
		"to":       func(r *booking.BlockRequest) { r.To = r.From.Add(366*24*time.Hour + 1) },
		"units":    func(r *booking.BlockRequest) { r.Units = 3 },
		"resource": func(r *booking.BlockRequest) { r.Resource = "nothing" },
	} {
		req := valid
		change(&req)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(tx).Block(t.Context(), req)
		requireFields(t, err, field)
		require.Equal(t, field == "resource", errors.Is(err, booking.ErrNotFound))
		exec(t, tx, `SELECT 1`)
		require.NoError(t, tx.Rollback())
	}
	require.Equal(t, "\n", allRows(t, db))
}

// Ended bookings are no conflicts, and expired holds are released.
func TestBlock_ListsConflicts(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
	second, first := hold(t, store, request(slot(2))), hold(t, store, request(slot(0)))
	hold(t, store, request(slot(3)))
	gone := hold(t, store, request(slot(1)))
	expireHolds(t, db, gone.ID)
	_, err := store.Cancel(t.Context(), booking.CancelRequest{ID: hold(t, store, request(slot(1))).ID})
	require.NoError(t, err)
	before := allRows(t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	req := booking.BlockRequest{Resource: "court", From: slot(0), To: slot(3)}
	_, err = store.Tx(tx).Block(t.Context(), req)
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	var conflict *booking.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, []booking.Booking{first, second}, conflict.Bookings)
	require.NoError(t, tx.Commit())
	require.Equal(t, before, allRows(t, db))
	req.Units = 1
	_, err = store.Block(t.Context(), req)
	require.NoError(t, err)
	requireInvariants(t, db)
}

func TestBlock_RelocatesNeighbours(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, overlappingSlots(4))
	for n := range 6 {
		for unit := range 2 {
			bookingOnUnit(t, db, store, slot(n), 1+(2*n+unit+n/2)%4)
		}
	}
	expired := fillWithExpired(t, db, store, 2, slot(2))
	_, err := store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(0), To: slot(6), Units: 3})
	require.ErrorIs(t, err, booking.ErrSlotTaken)
	_, err = store.Block(t.Context(), booking.BlockRequest{Resource: "court", From: slot(0), To: slot(6), Units: 2})
	require.NoError(t, err)
	b, err := store.Get(t.Context(), expired[0])
	require.NoError(t, err)
	require.Equal(t, booking.StatusExpired, b.Status)
	requireInvariants(t, db)
}

// In callers' transactions too.
func TestBlock_ConcurrentWithHolds(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	create(t, newStore(t, db), func(r *booking.Resource) { r.Capacity = 8 })
	errs := concurrently(t, db, 24, func(store *booking.Store, client int) error {
		ctx := context.Background()
		req := booking.BlockRequest{Resource: "court", From: slot(0), To: slot(1), Units: 1}
		switch client % 3 {
		case 0:
			_, err := store.Hold(ctx, request(slot(0)))
			return err
		case 1:
			return retryInTx(db, store, sql.LevelReadCommitted, func(tx *booking.Tx) error {
				_, err := tx.Block(ctx, req)
				return err
			})
		}
		_, err := store.Block(ctx, req)
		return err
	})
	requireSold(t, 8, errs)
	requireInvariants(t, db)
}

// A block has reserved units and then loses its neighbour's to a concurrent hold:
// everything is restored, and the block is decided again.
func TestBlock_NeighbourLosesItsNewUnit(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{false, true} {
		db := testdb.New(t)
		store := newStore(t, db)
		create(t, store, func(r *booking.Resource) { r.Capacity = 2 })
		first, second := hold(t, store, request(slot(0))), hold(t, store, request(slot(1)))
		for id, units := range map[string]string{first.ID: "{[1,2)}", second.ID: "{[2,3)}"} {
			exec(t, db, `UPDATE booking_platform.bookings SET units = $2::text::int4multirange WHERE id = $1::uuid`, id,
				units)
		}
		// A block of one unit for both hours relocates the second booking to the first
		// unit, which this hold has just taken.
		other, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = store.Tx(other).Hold(t.Context(), request(slot(1)))
		require.NoError(t, err)
		answer := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_, err := store.Block(ctx, booking.BlockRequest{Resource: "court", From: slot(0), To: slot(2), Units: 1})
			answer <- err
		}()
		waitForLock(t, db)
		if commits {
			require.NoError(t, other.Commit())
			var conflict *booking.ConflictError
			require.ErrorAs(t, <-answer, &conflict)
			require.Len(t, conflict.Bookings, 3)
		} else {
			require.NoError(t, other.Rollback())
			require.NoError(t, <-answer)
		}
		requireInvariants(t, db)
		requireHistory(t, db)
		require.Zero(t, count(t, db, `SELECT count(*) FROM booking_platform.bookings WHERE upper(units) > 3`),
			"all bookings have their old units")
	}
}
