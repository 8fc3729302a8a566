package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// lockID is the advisory lock of this package: the first eight bytes of the SHA-256 of
// "booking_platform". goose's default would conflict with a service's own goose.
const lockID int64 = 0x14c7c8ac35a94943

// schemaLockID is a second lock, for creating the schema. Waiting for it takes a
// snapshot, and a concurrent index build waits for older snapshots: with one lock for
// both they would deadlock.
const schemaLockID = lockID + 1

// The pause between attempts to take the lock, and their number: five minutes.
const (
	lockPause = time.Second
	lockTries = 300
)

func lockerOf(db *sql.DB) (lock.SessionLocker, error) {
	if db.Stats().MaxOpenConnections == 1 {
		return lock.NewPostgresSessionLocker(lock.WithLockID(lockID),
			lock.WithLockTimeout(uint64(lockPause/time.Second), lockTries))
	}
	return &txLock{db: db}, nil
}

// txLock is the lock, held by a transaction on a second connection, because a pooler in
// transaction mode would run the unlocking of a session lock on another connection. Both
// kinds conflict with each other.
//
// It has no snapshot, so that concurrent index builds do not wait for it. Hence READ
// COMMITTED: at REPEATABLE READ or SERIALIZABLE it would keep its first snapshot.
type txLock struct {
	db *sql.DB
	tx *sql.Tx
}

const (
	// Lifts the role's time limits on transactions: this one is idle while the migrations
	// run. transaction_timeout exists since Postgres 17.
	endlessSQL = `SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'`
	patientSQL = `SET LOCAL idle_in_transaction_session_timeout = 0`
	tryLockSQL = `SELECT pg_try_advisory_xact_lock($1::bigint)`
)

var errLocked = errors.New("another process is migrating")

// SessionLock tries repeatedly, each time in a new transaction, so that no replica waits
// inside a statement.
func (b *txLock) SessionLock(ctx context.Context, _ *sql.Conn) error {
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for range lockTries {
		tx, err := b.try(ctx)
		if err == nil {
			b.tx = tx
			return nil
		}
		if !errors.Is(err, errLocked) {
			return fmt.Errorf("take the lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return fmt.Errorf("take the lock: %w, for %v already", errLocked, lockTries*lockPause)
}

func (b *txLock) try(ctx context.Context) (_ *sql.Tx, err error) {
	// Not with ctx: its end would end the transaction while the migrations still run.
	tx, err := b.db.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	var got bool
	if err := tx.QueryRowContext(ctx, tryLockSQL, lockID).Scan(&got); err != nil {
		return nil, err
	}
	if !got {
		return nil, errLocked
	}
	if _, err := tx.ExecContext(ctx, endlessSQL); err != nil {
		return nil, err
	}
	// The last statement is not a SELECT: its result would stay open, with a snapshot,
	// until the next statement.
	if _, err := tx.ExecContext(ctx, patientSQL); err != nil {
		return nil, err
	}
	return tx, nil
}

// SessionUnlock ends the transaction. If it has ended before, with its connection,
// another replica may have migrated meanwhile.
func (b *txLock) SessionUnlock(context.Context, *sql.Conn) error {
	if err := b.tx.Commit(); err != nil {
		return fmt.Errorf("the lock was lost meanwhile: %w", err)
	}
	return nil
}

// session is a lock that also restores the settings of the session: a file without a
// transaction has to SET them for the session, which returns to the caller's pool.
type session struct {
	lock.SessionLocker
	lockTimeout, statementTimeout string
}

const (
	settingsSQL = `SELECT current_setting('lock_timeout'), current_setting('statement_timeout')`
	restoreSQL  = `SELECT set_config('lock_timeout', $1::text, false), set_config('statement_timeout', $2::text, false)`
)

// SessionLock reads the settings and takes the lock.
func (s *session) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := conn.QueryRowContext(ctx, settingsSQL).Scan(&s.lockTimeout, &s.statementTimeout); err != nil {
		return err
	}
	return s.SessionLocker.SessionLock(ctx, conn)
}

// SessionUnlock restores the settings and releases the lock.
func (s *session) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, restoreSQL, s.lockTimeout, s.statementTimeout)
	return errors.Join(s.SessionLocker.SessionUnlock(ctx, conn), err)
}
