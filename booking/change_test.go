package booking_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// Each change is told once, in whichever way it is made: with and without prepared
// statements, and with each driver.
func TestOnChange_EveryPath(t *testing.T) {
	t.Parallel()
	for name, path := range changePaths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, driver := range []testdb.Driver{testdb.PQ, testdb.PGX} {
				db := testdb.Open(t, driver, testdb.URL(t))
				exec(t, db, createToldSQL)
				store := withHook(t, db, booking.Options{Prepare: driver == testdb.PGX, CompleteAfter: time.Minute,
					MaxHoldsPerEmail: 9, OwnerSecrets: []string{"0123456789abcdef0123456789abcdef"}})
				create(t, store, overlappingSlots(2))
				held := hold(t, store, request(slot(0)))
				require.Equal(t, 1, count(t, db, `SELECT count(*) FROM told`))
				require.NoError(t, path.do(t, db, store, held))
				require.Equal(t, 1+path.changes, count(t, db, `SELECT count(*) FROM told`))
				require.Zero(t, count(t, db, toldOtherwise), "changes that were not told once")
				require.NoError(t, toldChain(t.Context(), db, store, held.ID))
				require.Zero(t, count(t, db, `SELECT count(*) FROM told WHERE before LIKE '%OwnerToken%'`))
			}
		})
	}
}

// An error of the hook undoes the change, and is returned.
func TestOnChange_ErrorRollsBack(t *testing.T) {
	t.Parallel()
	for name, path := range changePaths {
		if path.changes == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			exec(t, db, createToldSQL)
			// The last change of the path fails.
			left, failure := path.changes+1, errors.New("the message cannot be written")
			store, err := booking.New(db, booking.Options{CompleteAfter: time.Minute, MaxHoldsPerEmail: 9,
				OnChange: func(ctx context.Context, tx booking.HookTx, c booking.Changed) error {
					if left--; left == 0 {
						return failure
					}
					return writeTold(ctx, tx, c)
				}})
			require.NoError(t, err)
			create(t, store, overlappingSlots(2))
			held := hold(t, store, request(slot(0)))
			err = path.do(t, db, store, held)
			require.ErrorIs(t, err, failure)
			require.ErrorContains(t, err, ": on change to ")
			require.Zero(t, left)
			require.Zero(t, count(t, db, toldOtherwise))
			require.NoError(t, toldChain(t.Context(), db, store, held.ID))
			requireInvariants(t, db)
			requireHistory(t, db)
			require.Zero(t, count(t, db, strayQuotaRows)+count(t, db, strayHistory))
		})
	}
}

// A transaction that Postgres ends is run again, and what was written the first time is
// gone.
func TestOnChange_ToldAgainInARetry(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hold", "confirm", "move", "block", "release expired holds", "a hold on expired ones",
		"cancel by a customer", "retake", "complete past bookings", "neighbours with other units"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.New(t)
			exec(t, db, createToldSQL)
			calls := map[string]int{}
			store, err := booking.New(db, booking.Options{CompleteAfter: time.Minute,
				OnChange: func(ctx context.Context, tx booking.HookTx, c booking.Changed) error {
					if err := writeTold(ctx, tx, c); err != nil {
						return err
					}
					key := c.After.ID + string(c.From) + string(c.To)
					if calls[key]++; calls[key] == 1 {
						_, err := tx.ExecContext(ctx, `DO $$ BEGIN RAISE serialization_failure; END $$`)
						return err
					}
					return nil
				}})
			require.NoError(t, err)
			create(t, store, overlappingSlots(2))
			held := hold(t, store, request(slot(0)))
			require.NoError(t, changePaths[name].do(t, db, store, held))
			require.Len(t, calls, 1+changePaths[name].changes)
			for key, n := range calls {
				require.Equal(t, 2, n, key)
			}
			require.Zero(t, count(t, db, toldOtherwise))
			require.NoError(t, toldChain(t.Context(), db, store, held.ID))
		})
	}
}

// The same changes are told as recorded, by three stores.
func TestOnChange_Model(t *testing.T) {
	t.Parallel()
	db := testdb.Open(t, testdb.PGX, testdb.URL(t))
	exec(t, db, createToldSQL)
	rapid.Check(t, func(t *rapid.T) {
		w, err := newModelRun(db, rapid.IntRange(1, 5).Draw(t, "capacity"), writeTold)
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range rapid.SliceOfN(rapid.SliceOfN(drawOp, 1, 4), 2, 5).Draw(t, "batches") {
			if err := w.batch(batch); err != nil {
				t.Fatal(err)
			}
		}
		var otherwise int
		if err := db.QueryRow(toldOtherwise).Scan(&otherwise); err != nil || otherwise > 0 {
			t.Fatalf("%d changes were not told once: %v", otherwise, err)
		}
	})
}

func TestOnChange_Transaction(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	exec(t, db, `CREATE TABLE told (n integer)`)
	var given booking.HookTx
	store, err := booking.New(db, booking.Options{
		OnChange: func(ctx context.Context, tx booking.HookTx, _ booking.Changed) error {
			given = tx
			_, ends := tx.(interface{ Commit() error })
			require.False(t, ends)
			stmt, err := tx.PrepareContext(ctx, `INSERT INTO told VALUES ($1)`)
			if err != nil {
				return err
			}
			defer func() { _ = stmt.Close() }()
			if _, err := stmt.ExecContext(ctx, 1); err != nil {
				return err
			}
			var n int
			return tx.QueryRowContext(ctx, `SELECT count(*) FROM told`).Scan(&n)
		}})
	require.NoError(t, err)
	create(t, store, func(r *booking.Resource) { r.Capacity = 9 })
	hold(t, store, request(slot(0)))
	require.NotNil(t, given.SQL())

	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = store.Tx(tx).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err)
	require.Same(t, tx, given.SQL())
	_, err = store.Tx(given).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err, "a hook may use the store in its transaction")
	require.Same(t, tx, given.SQL())
	require.NoError(t, tx.Rollback())

	wrapped, err := sqlx.NewDb(db, "postgres").Beginx()
	require.NoError(t, err)
	_, err = store.Tx(wrapped).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err)
	require.Same(t, wrapped.Tx, given.SQL())
	require.NoError(t, wrapped.Rollback())

	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	exec(t, conn, `BEGIN`)
	_, err = store.Tx(conn).Hold(t.Context(), request(slot(0)))
	require.NoError(t, err)
	require.Nil(t, given.SQL())
	exec(t, conn, `ROLLBACK`)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM told`))
}

// One change is told.
func TestOnChange_OneWinnerIsTold(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	exec(t, db, createToldSQL)
	db.SetMaxOpenConns(8)
	stores := []*booking.Store{withHook(t, db, booking.Options{}), withHook(t, db, booking.Options{}),
		withHook(t, db, booking.Options{})}
	create(t, stores[0])
	held := hold(t, stores[0], request(slot(0)))
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			s, ctx := stores[n%3], context.Background()
			switch n % 4 {
			case 0:
				_, _ = s.Confirm(ctx, held.ID)
			case 1:
				_, _ = s.Cancel(ctx, booking.CancelRequest{ID: held.ID})
			case 2:
				_, _ = s.ReleaseExpired(ctx)
			default:
				_, _ = s.Hold(ctx, request(slot(0)))
			}
		})
	}
	wg.Wait()
	require.Zero(t, count(t, db, toldOtherwise))
	require.NoError(t, toldChain(t.Context(), db, stores[0]))
}
