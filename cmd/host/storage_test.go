package main_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	host "github.com/booking-platform/booking-platform/cmd/host"
)

var errRefused = errors.New("connection refused")

// absent is a database whose first connection is refused; the second one comes to nothing
// until the wait is over.
type absent struct {
	tries int
	end   context.CancelFunc
}

func (a *absent) Connect(ctx context.Context) (driver.Conn, error) {
	if a.tries++; a.tries == 1 {
		return nil, errRefused
	}
	a.end()
	<-ctx.Done()
	return nil, ctx.Err()
}

func (a *absent) Driver() driver.Driver { return nil }

// The error is the last one of the database, not that the wait is over.
func TestWaitForDB_ReturnsLastError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	db := sql.OpenDB(&absent{end: cancel})
	defer db.Close()
	err := host.Await(ctx, db, io.Discard)
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, "the database does not answer")
}
