package booking_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/booking"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// wrappedPool hides the type of a pool and keeps what it can do.
type wrappedPool struct{ *sql.DB }

// beginner is a pool of a program's own.
type beginner struct{ booking.Querier }

func (beginner) BeginTx(context.Context, *sql.TxOptions) (*sql.Tx, error) { return nil, nil }

// M27: what is no transaction is refused by every operation, which changes nothing.
func TestStoreTx_RefusesPools(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store, halfSteps(2))
	pending, confirmed, lapsed := hold(t, store, request(slot(0))), hold(t, store, request(slot(3))),
		hold(t, store, request(slot(6)))
	_, err := store.Confirm(t.Context(), confirmed.ID)
	require.NoError(t, err)
	lapse(t, db, lapsed.ID)
	_, err = store.ReleaseExpired(t.Context())
	require.NoError(t, err)
	before := everything(t, db)
	for name, q := range map[string]booking.Querier{
		"nothing": nil, "sql.DB": db, "nil sql.DB": (*sql.DB)(nil), "sqlx.DB": sqlx.NewDb(db, "postgres"),
		"wrapped": wrappedPool{db}, "pointer to wrapped": &wrappedPool{db}, "begins": beginner{db},
	} {
		tx := store.Tx(q)
		ctx := t.Context()
		for operation, do := range map[string]func() error{
			"Hold":        func() error { _, err := tx.Hold(ctx, request(slot(1))); return err },
			"Confirm":     func() error { _, err := tx.Confirm(ctx, pending.ID); return err },
			"ConfirmLate": func() error { _, err := tx.ConfirmLate(ctx, pending.ID); return err },
			"ConfirmSeveral": func() error {
				_,
					err := tx.ConfirmSeveral(ctx, []booking.Confirmation{{ID: pending.ID}})
				return err
			},
			"Release":          func() error { _, err := tx.Release(ctx, pending.ID); return err },
			"Extend":           func() error { _, err := tx.Extend(ctx, pending.ID, slot(0)); return err },
			"Expire":           func() error { _, err := tx.Expire(ctx, pending.ID); return err },
			"Lock":             func() error { _, err := tx.Lock(ctx, pending.ID); return err },
			"LockWithResource": func() error { _, err := tx.LockWithResource(ctx, pending.ID); return err },
			"Get":              func() error { _, err := tx.Get(ctx, pending.ID); return err },
			"List":             func() error { _, err := tx.List(ctx, booking.ListOptions{}); return err },
			"Count":            func() error { _, err := tx.Count(ctx, booking.ListOptions{}); return err },
			"Cancel": func() error {
				_,
					err := tx.Cancel(ctx, booking.CancelRequest{ID: confirmed.ID})
				return err
			},
			"Complete": func() error { _, err := tx.Complete(ctx, confirmed.ID); return err },
			"NoShow":   func() error { _, err := tx.NoShow(ctx, confirmed.ID); return err },
			"Retake":   func() error { _, err := tx.Retake(ctx, lapsed.ID); return err },
			"Reschedule": func() error {
				_, err := tx.Reschedule(ctx, booking.RescheduleRequest{ID: confirmed.ID, Start: slot(9)})
				return err
			},
			"Block": func() error {
				_, err := tx.Block(ctx, booking.BlockRequest{Resource: "court", From: slot(12), To: slot(13)})
				return err
			},
		} {
			require.ErrorIs(t, do(), booking.ErrNoTransaction, "%s of %s", operation, name)
		}
	}
	require.Equal(t, before, everything(t, db))
}

// M27: transactions, and a connection on which one has begun, are joined as ever.
func TestStoreTx_JoinsTransactions(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := newStore(t, db)
	create(t, store)
	ctx := t.Context()
	plain, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	named, err := sqlx.NewDb(db, "postgres").BeginTxx(ctx, nil)
	require.NoError(t, err)
	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	exec(t, conn, `BEGIN`)
	for n, q := range []booking.Querier{plain, named, conn, struct{ *sql.Conn }{conn}} {
		b, err := store.Tx(q).Hold(ctx, request(slot(n)))
		require.NoError(t, err)
		_, err = store.Get(ctx, b.ID)
		require.ErrorIs(t, err, booking.ErrNotFound, "it is not committed")
	}
	require.NoError(t, plain.Rollback())
	require.NoError(t, named.Rollback())
	exec(t, conn, `ROLLBACK`)
	slots, err := store.Slots(ctx, "court", slot(0), slot(0).Add(4*time.Hour), 1)
	require.NoError(t, err)
	require.Len(t, slots, 4)
}
