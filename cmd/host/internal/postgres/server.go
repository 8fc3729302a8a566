// Package postgres opens the host's database and checks what the host depends on.
//
// The problem is that a server can be too old, read-only or not durable, a pooler can
// drop settings and prepared statements, and a network can hang for ever; each shows up
// only when a customer pays. So connections have limits that Postgres enforces ([Open]),
// and the server is checked before the host starts ([Read]).
package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// MinVersion is the oldest server_version_num; the exclusion constraint needs
// multiranges.
const MinVersion = 140000

// Server is the server as one connection sees it, with the defaults of its role and
// database.
type Server struct {
	// Number is server_version_num, such as 160009, and Version server_version.
	Number           int
	Version          string
	Encoding, Locale string
	// FoldsLetters reports whether lower('I') is i, unlike in Turkish.
	FoldsLetters bool
	// Standby is a server in recovery. ReadOnly is default_transaction_read_only.
	Standby, ReadOnly bool
	// Isolation is default_transaction_isolation.
	Isolation string
	// With one of these settings off, a crash can lose committed transactions.
	Fsync, FullPageWrites, SynchronousCommit string
	// ReplicationRole is session_replication_role; with replica, foreign keys are not
	// checked.
	ReplicationRole string
}

const serverSQL = `
SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
	current_setting('server_encoding'), d.datctype::text, lower('I') = 'i' AND upper('i') = 'I',
	pg_catalog.pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
	current_setting('default_transaction_isolation'), current_setting('fsync'), current_setting('full_page_writes'),
	current_setting('synchronous_commit'), current_setting('session_replication_role')
FROM pg_catalog.pg_database d WHERE d.datname = current_database()`

// Read reads the server in one round trip.
func Read(ctx context.Context, db *sql.DB) (Server, error) {
	var s Server
	err := db.QueryRowContext(ctx, serverSQL).Scan(&s.Number, &s.Version, &s.Encoding, &s.Locale, &s.FoldsLetters,
		&s.Standby, &s.ReadOnly, &s.Isolation, &s.Fsync, &s.FullPageWrites, &s.SynchronousCommit, &s.ReplicationRole)
	if err != nil {
		return Server{}, fmt.Errorf("read the properties of the server: %w", err)
	}
	return s, nil
}

// Fault is a property with which the host cannot work.
type Fault struct {
	// Both are without a full stop.
	Found, Remedy string
}

// Error implements error.
func (f *Fault) Error() string { return f.Found + ": " + f.Remedy }

// VersionFault returns nil if the server is new enough.
func (s Server) VersionFault() *Fault {
	if s.Number >= MinVersion {
		return nil
	}
	return &Fault{"Postgres " + s.Version + " is too old", "use Postgres 14 or newer"}
}

// EncodingFault returns nil if the database stores every character and folds letters as
// Go does.
func (s Server) EncodingFault() *Fault {
	switch {
	case s.Encoding != "UTF8":
		return &Fault{"the database's encoding is " + s.Encoding + ", which cannot store every customer's name",
			"make another one: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"}
	case !s.FoldsLetters:
		return &Fault{"the database's locale is " + s.Locale +
			", where the small letter of I is not i: e-mail addresses would not be found again",
			"make another one: CREATE DATABASE … LOCALE 'C' TEMPLATE template0"}
	}
	return nil
}

// ReadOnlyFault returns nil if the database can be written to. A standby may be promoted
// later.
func (s Server) ReadOnlyFault() *Fault {
	switch {
	case s.Standby:
		return &Fault{"the server is a standby: nothing can be booked",
			"name all servers and add target_session_attrs=read-write to DATABASE_URL, so that the primary is found"}
	case s.ReadOnly:
		return &Fault{"transactions are read-only: nothing can be booked",
			"take default_transaction_read_only from the database, the role or the server; a disk that is nearly " +
				"full may be why it is set"}
	}
	return nil
}

// DurabilityFault returns nil if commits are durable and foreign keys checked.
func (s Server) DurabilityFault() *Fault {
	for _, setting := range []struct{ name, value string }{
		{"fsync", s.Fsync}, {"full_page_writes", s.FullPageWrites}, {"synchronous_commit", s.SynchronousCommit},
	} {
		if setting.value == "off" {
			return &Fault{setting.name +
				" is off: events that were answered, and bookings, can be lost with the server's machine",
				"set it to on; ALTER ROLE and ALTER DATABASE may have set it too"}
		}
	}
	if s.ReplicationRole == "replica" {
		return &Fault{"session_replication_role is replica: foreign keys are not checked",
			"take it from the role or the database"}
	}
	return nil
}

// Unusable returns the first fault with which a host does not start, or nil.
func (s Server) Unusable() *Fault {
	for _, f := range []*Fault{s.VersionFault(), s.EncodingFault(), s.ReadOnlyFault()} {
		if f != nil {
			return f
		}
	}
	return nil
}

const collationSQL = `
SELECT coalesce(d.datcollversion, ''), coalesce(pg_catalog.pg_database_collation_actual_version(d.oid), '')
FROM pg_catalog.pg_database d WHERE d.datname = current_database()`

// Collation reads the collation version of the database's indexes and that of the system.
// If they differ, an index of text may miss rows. Both are empty before Postgres 15 and
// for a collation without versions.
func (s Server) Collation(ctx context.Context, db *sql.DB) (made, now string, err error) {
	if s.Number < 150000 {
		return "", "", nil
	}
	if err := db.QueryRowContext(ctx, collationSQL).Scan(&made, &now); err != nil {
		return "", "", fmt.Errorf("read the collation version: %w", err)
	}
	return made, now, nil
}

const missingLimitsSQL = `
SELECT coalesce(string_agg(s.name, ', ' ORDER BY s.name), '') FROM pg_catalog.pg_settings s
WHERE s.name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout') AND s.setting = '0'`

// MissingLimits returns the names of the limits of [Serving] that a connection does not
// have, or "".
func MissingLimits(ctx context.Context, db *sql.DB) (names string, err error) {
	err = db.QueryRowContext(ctx, missingLimitsSQL).Scan(&names)
	return names, err
}

var errNotPrepared = errors.New("DATABASE_PREPARE is true, but the pooler in front of Postgres does not support " +
	"prepared statements: unset it, or use a pooler that does (PgBouncer from 1.21 on, with " +
	"max_prepared_statements above 0)")

// preparedTries is how often it is tried: a pooler may return the same connection by
// chance.
const preparedTries = 3

// CheckPreparedStatements returns an error if a prepared statement is lost when its
// connection is used by others, as behind a pooler in transaction mode. A statement of
// another client with the same name could then be run instead.
func CheckPreparedStatements(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for range preparedTries {
		if err := checkPrepared(ctx, db); err != nil {
			return fmt.Errorf("%w (%w)", errNotPrepared, err)
		}
	}
	return nil
}

// checkPrepared prepares a statement on one connection, starts a transaction on another,
// to which a pooler would give the same server connection, and runs the statement.
func checkPrepared(ctx context.Context, db *sql.DB) error {
	one, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = one.Close() }()
	other, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = other.Close() }()
	mark := rand.Text()
	statement, err := one.PrepareContext(ctx, `SELECT '`+mark+`'::text`)
	if err != nil {
		return err
	}
	defer func() { _ = statement.Close() }()
	tx, err := other.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `SELECT 1`); err != nil {
		return err
	}
	var found string
	if err := statement.QueryRowContext(ctx).Scan(&found); err != nil {
		return err
	}
	if found != mark {
		return errors.New("another statement was run")
	}
	return nil
}
