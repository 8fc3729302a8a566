package pg_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/booking-platform/booking-platform/internal/pg"
	"github.com/booking-platform/booking-platform/internal/testdb"
)

// M33: Waiting commits take three quarters of the pool, and reads go on.
func TestWrites_LeaveConnectionsToReads(t *testing.T) {
	t.Parallel()
	db, open := closedGate(t)
	db.SetMaxOpenConns(8)
	const slots = 6
	answers := make(chan error, slots)
	for id := range slots {
		go func() { answers <- insert(t.Context(), db, id) }()
	}
	atGate(t, db, slots)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, insert(ctx, db, 100), context.DeadlineExceeded)
	require.Zero(t, notes(t, db), "a read has a connection")
	open()
	for range slots {
		require.NoError(t, <-answers)
	}
	require.Equal(t, slots, notes(t, db))
}

func TestWrites_SlotsOfAPool(t *testing.T) {
	t.Parallel()
	for maxOpen, want := range map[int]int{0: 64, 1: 1, 2: 2, 3: 3, 4: 3, 8: 6, 20: 15, 100: 75} {
		require.Equal(t, want, pg.SlotsOf(maxOpen), maxOpen)
	}
}

func TestWrites_SuspensionEnds(t *testing.T) {
	t.Parallel()
	db, open := closedGate(t)
	open()
	pg.Suspend(db)
	require.NoError(t, insert(t.Context(), db, 1))
	require.NoError(t, insert(t.Context(), db, 2))

	pg.Suspend(db)
	require.NoError(t, db.Close())
	require.ErrorIs(t, insert(t.Context(), db, 3), pg.ErrSuspended,
		"a database that does not answer ends no suspension")
}

func TestConnectionLost_Errors(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		driver.ErrBadConn, fmt.Errorf("read: %w", io.EOF), io.ErrUnexpectedEOF,
		&net.OpError{Op: "read", Err: errors.New("i/o timeout")},
	} {
		require.True(t, pg.ConnectionLost(err), "%v", err)
	}
	for _, err := range []error{nil, sql.ErrNoRows, errors.New("pq: deadlock detected")} {
		require.False(t, pg.ConnectionLost(err), "%v", err)
	}
}

// A write that gets no connection for a long time is no commit that waits, and suspends
// nothing.
func TestWrites_WaitForAConnectionSuspendsNothing(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(context.Context, *sql.DB) error{
		"transaction": func(ctx context.Context, db *sql.DB) error { return insert(ctx, db, 1) },
		"statement": func(ctx context.Context, db *sql.DB) error {
			_, err := pg.Exec(ctx, db, `SELECT 1`)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testdb.Open(t, testdb.PQ, testdb.EmptyURL(t))
			db.SetMaxOpenConns(1)
			conn, err := db.Conn(t.Context())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			for _, wait := range []time.Duration{5500 * time.Millisecond, 50 * time.Millisecond} {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				err := write(ctx, db)
				cancel()
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NotErrorIs(t, err, pg.ErrSuspended)
			}
		})
	}
}
