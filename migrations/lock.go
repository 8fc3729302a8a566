package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// lockID is the first eight bytes of the SHA-256 of "booking_platform". goose's default
// would conflict with a service's own goose.
const lockID int64 = 0x14c7c8ac35a94943

// schemaLockID is for creating the schema. Waiting for it takes a snapshot, and a
// concurrent index build waits for older snapshots: one lock for both would deadlock.
const schemaLockID = lockID + 1

// Five minutes altogether.
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

// txLock is held by a transaction on a second connection, because a pooler in transaction
// mode would unlock a session lock on another connection. Both kinds conflict.
//
// It must have no snapshot, for which concurrent index builds would wait: hence READ
// COMMITTED, where it keeps none.
type txLock struct {
	db *sql.DB
	tx *sql.Tx
}

const (
	// This transaction is idle while the migrations run. transaction_timeout exists since
	// Postgres 17.
	endlessSQL = `SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'`
	patientSQL = `SET LOCAL idle_in_transaction_session_timeout = 0`
	tryLockSQL = `SELECT pg_try_advisory_xact_lock($1::bigint)`
)

var errLocked = errors.New("another process is migrating")

// SessionLock tries in a new transaction each time, so that no replica waits inside a
// statement.
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
	// Not with ctx, whose end would unlock while the migrations still run.
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
	// Not a SELECT: its result would stay open, with a snapshot, until the next
	// statement.
	if _, err := tx.ExecContext(ctx, patientSQL); err != nil {
		return nil, err
	}
	return tx, nil
}

// If the transaction has ended with its connection, another replica may have migrated.
func (b *txLock) SessionUnlock(context.Context, *sql.Conn) error {
	if err := b.tx.Commit(); err != nil {
		return fmt.Errorf("the lock was lost meanwhile: %w", err)
	}
	return nil
}

// session also restores the settings of the session, which returns to the caller's pool:
// a file without a transaction has to SET them for the session.
type session struct {
	lock.SessionLocker
	lockTimeout, statementTimeout string
}

const (
	settingsSQL = `SELECT current_setting('lock_timeout'), current_setting('statement_timeout')`
	restoreSQL  = `SELECT set_config('lock_timeout', $1::text, false), set_config('statement_timeout', $2::text, false)`
)

func (s *session) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if err := conn.QueryRowContext(ctx, settingsSQL).Scan(&s.lockTimeout, &s.statementTimeout); err != nil {
		return err
	}
	return s.SessionLocker.SessionLock(ctx, conn)
}

func (s *session) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, restoreSQL, s.lockTimeout, s.statementTimeout)
	return errors.Join(s.SessionLocker.SessionUnlock(ctx, conn), err)
}
