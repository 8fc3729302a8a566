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

// ErrUnconfirmed is returned when the caller's context ended between a commit and its
// response. The commit may still succeed; read the database to find out. The context's
// error is wrapped too.
var ErrUnconfirmed = errors.New("the commit is not confirmed yet")

// ErrSuspended is returned instead of beginning a write while commits wait for a standby.
var ErrSuspended = errors.New("commits wait for a synchronous standby; writes are suspended")

// longWait is the age at which a write whose connection is lost counts as a commit that
// waited.
const longWait = 5 * time.Second

// recheck is how often a suspended pool checks whether commits still wait.
const recheck = time.Second

// unlimitedWrites bounds the writes of a pool without a limit.
const unlimitedWrites = 64

// writes bounds the writes of one pool.
//
// A connection that is lost while its commit waits leaves a waiting server process, so a
// pool that opened new connections would use up those of the server. After the first such
// loss, writes are suspended until no commit waits.
type writes struct {
	slots chan struct{}

	mu        sync.Mutex
	suspended bool
	checked   time.Time
}

// slotsOf returns how many writes may run at once: three quarters of the pool. A pool of
// up to three connections has none to spare, because a write inside another one, such as
// a hold in a webhook handler, needs a second slot.
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

// writesOf returns the writes of a pool, shared by all packages. Its size is fixed at the
// pool's first write.
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

// acquire waits for a slot. The caller must call release once, with the error of its
// write, when the connection is no longer in use.
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

// admit refuses a write while the pool is suspended, and checks once a second whether it
// still is.
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

// connectionLost reports whether a write ended without a response.
func connectionLost(err error) bool {
	var network net.Error
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network)
}
