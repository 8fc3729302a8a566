package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// lockID is the advisory lock of these migrations: the first eight bytes of the SHA-256
// of "booking_platform". goose's default would make us wait for an embedder's own goose,
// and an embedder's nested Up for us.
const lockID int64 = 0x14c7c8ac35a94943

// schemaLockID is another lock, for the moment in which the schema itself is made. Who
// waits for it waits inside a statement, with a snapshot, and a file that builds an index
// concurrently waits for every older snapshot: with one lock for both, the host that
// builds and the host that waits would deadlock.
const schemaLockID = lockID + 1

// How often the lock is asked for, and how many times: five minutes.
const (
	lockPause = time.Second
	lockTries = 300
)

// lockerOf is the lock for this pool.
func lockerOf(db *sql.DB) (lock.SessionLocker, error) {
	if db.Stats().MaxOpenConnections == 1 {
		return lock.NewPostgresSessionLocker(lock.WithLockID(lockID),
			lock.WithLockTimeout(uint64(lockPause/time.Second), lockTries))
	}
	return &beside{db: db}, nil
}

// beside is the lock, held by a transaction on a connection beside the one that migrates.
// A session's lock would get lost behind a pooler in transaction mode: it stays with the
// connection that the pooler has lent for that one statement, and the unlocking goes to
// another. Both are the same lock to Postgres, so a program that still takes the
// session's and one that takes this wait for each other.
//
// While it is held the transaction has neither a snapshot nor a row, so that an index
// that is built concurrently does not wait for it. At REPEATABLE READ or SERIALIZABLE,
// which may be the role's default, it would keep its first snapshot; so it asks for READ
// COMMITTED.
type beside struct {
	db *sql.DB
	tx *sql.Tx
}

const (
	// Limits of the role on transactions are lifted: this one is idle for as long as the
	// migrations take. transaction_timeout exists from Postgres 17 on.
	endlessSQL = `SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'`
	patientSQL = `SET LOCAL idle_in_transaction_session_timeout = 0`
	tryLockSQL = `SELECT pg_try_advisory_xact_lock($1::bigint)`
)

var errLocked = errors.New("somebody else migrates")

// SessionLock asks again and again, each time in a new transaction, so that nobody waits
// inside a statement.
func (b *beside) SessionLock(ctx context.Context, _ *sql.Conn) error {
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

func (b *beside) try(ctx context.Context) (_ *sql.Tx, err error) {
	// Not with ctx, whose end would end the transaction while what it guards still goes
	// on.
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
	// The last statement is no SELECT: the answer of one stays open until the next
	// statement, with its snapshot.
	if _, err := tx.ExecContext(ctx, patientSQL); err != nil {
		return nil, err
	}
	return tx, nil
}

// SessionUnlock ends the transaction. That it has ended before, with its connection,
// means that somebody else may have migrated meanwhile.
func (b *beside) SessionUnlock(context.Context, *sql.Conn) error {
	if err := b.tx.Commit(); err != nil {
		return fmt.Errorf("the lock was lost meanwhile: %w", err)
	}
	return nil
}

// session is a lock that also leaves the settings of the session as it found them: a file
// without a transaction has to SET them for the session, and that goes back to the
// caller's pool.
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

// SessionUnlock gives the settings back, and then the lock.
func (s *session) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, restoreSQL, s.lockTimeout, s.statementTimeout)
	return errors.Join(s.SessionLocker.SessionUnlock(ctx, conn), err)
}
