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
