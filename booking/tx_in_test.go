package booking_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// newOrders has a resource of capacity 1, and a table of the caller's.
func newOrders(t *testing.T) (*sql.DB, *booking.Store) {
	t.Helper()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	_, err := db.ExecContext(t.Context(), `CREATE TABLE orders (booking_id uuid NOT NULL UNIQUE)`)
	require.NoError(t, err)
	return db, store
}

const insertOrderSQL = `INSERT INTO orders (booking_id) VALUES ($1::uuid)`

// requireOrders compares orders and bookings.
func requireOrders(t *testing.T, db *sql.DB, want int) {
	t.Helper()
	var orders, bookings int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM orders`).Scan(&orders))
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM booking_platform.bookings`).Scan(&bookings))
	require.Equal(t, [2]int{want, want}, [2]int{orders, bookings}, "orders and bookings")
}

func TestInTx_CommitsBothOrNeither(t *testing.T) {
	t.Parallel()
	mine := errors.New("the caller's")
	for name, test := range map[string]struct {
		end  func(tx *sql.Tx) error
		want error
		rows int
	}{
		"commits":        {func(*sql.Tx) error { return nil }, nil, 1},
		"error":          {func(*sql.Tx) error { return mine }, mine, 0},
		"database error": {func(tx *sql.Tx) error { _, err := tx.Exec(`SELECT 1/0`); return err }, nil, 0},
		"rolled back":    {func(tx *sql.Tx) error { return tx.Rollback() }, sql.ErrTxDone, 0},
		// What the caller commits against the rules stays, and InTx reports it.
		"committed": {func(tx *sql.Tx) error { return tx.Commit() }, sql.ErrTxDone, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, store := newOrders(t)
			err := store.InTx(t.Context(), func(tx *sql.Tx, bookings *booking.Tx) error {
				b, err := bookings.Hold(t.Context(), request(slot(0)))
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), insertOrderSQL, b.ID)
				require.NoError(t, err)
				return test.end(tx)
			})
			switch {
			case test.want != nil:
				require.ErrorIs(t, err, test.want)
			case test.rows == 1:
				require.NoError(t, err)
			default:
				require.Error(t, err)
			}
			requireOrders(t, db, test.rows)
		})
	}
}

func TestInTx_PanicRollsBack(t *testing.T) {
	t.Parallel()
	db, store := newOrders(t)
	require.PanicsWithValue(t, "mine", func() {
		_ = store.InTx(t.Context(), func(tx *sql.Tx, bookings *booking.Tx) error {
			b, err := bookings.Hold(t.Context(), request(slot(0)))
			require.NoError(t, err)
			_, err = tx.ExecContext(t.Context(), insertOrderSQL, b.ID)
			require.NoError(t, err)
			panic("mine")
		})
	})
	requireOrders(t, db, 0)
	require.Zero(t, db.Stats().InUse, "the connection is free")
}

func TestInTx_EndedContextCommitsNothing(t *testing.T) {
	t.Parallel()
	db, store := newOrders(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := store.InTx(ctx, func(tx *sql.Tx, bookings *booking.Tx) error {
		b, err := bookings.Hold(t.Context(), request(slot(0)))
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), insertOrderSQL, b.ID)
		cancel()
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	requireOrders(t, db, 0)
}

// Postgres ended the transaction in favour of another one.
func TestInTx_Retries(t *testing.T) {
	t.Parallel()
	for sqlstate, want := range map[string]int{"40001": 3, "40P01": 3, "22000": 1} {
		t.Run(sqlstate, func(t *testing.T) {
			t.Parallel()
			db, store := newOrders(t)
			runs := 0
			err := store.InTx(t.Context(), func(tx *sql.Tx, bookings *booking.Tx) error {
				runs++
				b, err := bookings.Hold(t.Context(), request(slot(0)))
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), insertOrderSQL, b.ID)
				require.NoError(t, err)
				if runs < 3 {
					_, err = tx.ExecContext(t.Context(), `DO $$ BEGIN RAISE SQLSTATE '`+sqlstate+`'; END $$`)
				}
				return err
			})
			require.Equal(t, want, runs)
			if want == 1 {
				require.Error(t, err)
				requireOrders(t, db, 0)
				return
			}
			require.NoError(t, err)
			requireOrders(t, db, 1)
		})
	}
}

func TestInTx_OneOfManyGetsTheSlot(t *testing.T) {
	t.Parallel()
	const clients = 20
	db, store := newOrders(t)
	errs, start := make([]error, clients), slot(0)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			errs[i] = store.InTx(t.Context(), func(tx *sql.Tx, bookings *booking.Tx) error {
				b, err := bookings.Hold(t.Context(), requestFrom(start, fmt.Sprintf("c%d@example.com", i), ""))
				if err != nil {
					return err
				}
				_, err = tx.ExecContext(t.Context(), insertOrderSQL, b.ID)
				return err
			})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, booking.ErrSlotTaken)
	}
	require.Equal(t, 1, won)
	requireOrders(t, db, 1)
}
