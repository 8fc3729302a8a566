package pg

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"
	"weak"
)

// ErrUnconfirmed means that the caller's context, whose error is wrapped too, ended
// between a commit and its response. The commit may still succeed; read the database to
// find out.
var ErrUnconfirmed = errors.New("the commit is not confirmed yet")

// ErrSuspended is returned in place of a write while commits wait for a standby.
var ErrSuspended = errors.New("commits wait for a synchronous standby; writes are suspended")

// longWait is from when a write whose connection is lost counts as a waiting commit.
const longWait = 5 * time.Second

// recheck is how often a suspended pool looks whether commits still wait.
const recheck = time.Second

// unlimitedWrites is for a pool without a limit.
const unlimitedWrites = 64

// writes bounds the writes of one pool.
//
// A lost connection leaves a server process whose commit waits, so a pool that opened new
// ones would use up the server's. After the first such loss, writes are suspended until
// no commit waits.
type writes struct {
	slots chan struct{}

	mu        sync.Mutex
	suspended bool
	checked   time.Time
}

// slotsOf is three quarters of the pool. One of up to three connections has none to
// spare: a write inside another, such as a hold in a webhook handler, needs a second
// slot.
func slotsOf(maxOpen int) int {
	switch {
	case maxOpen <= 0:
		return unlimitedWrites
	case maxOpen <= 3:
		return maxOpen
	}
	return maxOpen - maxOpen/4
}

var pools = struct {
	sync.Mutex
	of map[weak.Pointer[sql.DB]]*writes
}{of: map[weak.Pointer[sql.DB]]*writes{}}

// All packages share a pool's writes. Their number is fixed at the first write.
func writesOf(db *sql.DB) *writes {
	key := weak.Make(db)
	pools.Lock()
	defer pools.Unlock()
	w := pools.of[key]
	if w == nil {
		w = &writes{slots: make(chan struct{}, slotsOf(db.Stats().MaxOpenConnections))}
		pools.of[key] = w
		runtime.AddCleanup(db, func(key weak.Pointer[sql.DB]) {
			pools.Lock()
			defer pools.Unlock()
			delete(pools.of, key)
		}, key)
	}
	return w
}

// acquire waits for a slot. The caller must call release once, with its write's error,
// when the connection is no longer in use.
func (w *writes) acquire(ctx context.Context, db *sql.DB) (release func(error), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.admit(ctx, db); err != nil {
		return nil, err
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	return func(err error) {
		if connectionLost(err) && time.Since(began) >= longWait {
			w.suspend()
		}
		<-w.slots
	}, nil
}

// A session sees the wait events of its own role.
const commitsWaitSQL = `
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a WHERE a.usename = current_user AND a.wait_event = 'SyncRep')`

// admit refuses a write while the pool is suspended.
func (w *writes) admit(ctx context.Context, db *sql.DB) error {
	w.mu.Lock()
	if !w.suspended {
		w.mu.Unlock()
		return nil
	}
	if time.Since(w.checked) < recheck {
		w.mu.Unlock()
		return ErrSuspended
	}
	w.checked = time.Now()
	w.mu.Unlock()

	var wait bool
	if err := db.QueryRowContext(ctx, commitsWaitSQL).Scan(&wait); err != nil {
		return fmt.Errorf("%w: %w", ErrSuspended, err)
	}
	if wait {
		return ErrSuspended
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspended = false
	return nil
}

func (w *writes) suspend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.suspended = true
}

// connectionLost: the write ended without a response.
func connectionLost(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network)
}
