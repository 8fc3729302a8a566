// Package postgres reads what the host depends on of the server and the database that it
// is given, and says what of it does not do, before a customer finds out.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
)

// MinVersion is the oldest server_version_num: multiranges, of which the exclusion
// constraint is made, came with 14.
const MinVersion = 140000

// Server is the server as one connection sees it, with the defaults of its role and
// database.
type Server struct {
	// Number is server_version_num, such as 160009, and Version the same for people.
	Number  int
	Version string
	// Encoding is how the database stores text, and Locale how it orders and folds
	// letters.
	Encoding, Locale string
	// FoldsLetters tells that lower('I') is i, which it is not in Turkish and
	// Azerbaijani.
	FoldsLetters bool
	// Standby tells that the server replays another's changes, ReadOnly that transactions
	// are read-only by default.
	Standby, ReadOnly bool
	// Isolation is default_transaction_isolation.
	Isolation string
	// Fsync, FullPageWrites and SynchronousCommit are the settings of these names: where
	// one is off, a crash loses or damages what was committed.
	Fsync, FullPageWrites, SynchronousCommit string
	// ReplicationRole is session_replication_role: foreign keys are not checked where it
	// is replica.
	ReplicationRole string
}

const serverSQL = `
SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
	current_setting('server_encoding'), d.datctype::text, lower('I') = 'i' AND upper('i') = 'I',
	pg_catalog.pg_is_in_recovery(), current_setting('transaction_read_only') = 'on',
	current_setting('default_transaction_isolation'), current_setting('fsync'), current_setting('full_page_writes'),
	current_setting('synchronous_commit'), current_setting('session_replication_role')
FROM pg_catalog.pg_database d WHERE d.datname = current_database()`

// Read asks the server. It takes one round trip and writes nothing.
func Read(ctx context.Context, db *sql.DB) (Server, error) {
	var s Server
	err := db.QueryRowContext(ctx, serverSQL).Scan(&s.Number, &s.Version, &s.Encoding, &s.Locale, &s.FoldsLetters,
		&s.Standby, &s.ReadOnly, &s.Isolation, &s.Fsync, &s.FullPageWrites, &s.SynchronousCommit, &s.ReplicationRole)
	if err != nil {
		return Server{}, fmt.Errorf("read what the server is: %w", err)
	}
	return s, nil
}

// Fault is what a server or a database has that the host cannot work with.
type Fault struct {
	// Found says what it is, and Remedy what to do, each without a full stop.
	Found, Remedy string
}

// Error is both.
func (f *Fault) Error() string { return f.Found + ": " + f.Remedy }

// OfVersion is nil where the server is new enough.
func (s Server) OfVersion() *Fault {
	if s.Number >= MinVersion {
		return nil
	}
	return &Fault{"Postgres " + s.Version + " is too old", "use Postgres 14 or newer"}
}

// OfText is nil where the database stores every character and folds letters as the code
// does.
func (s Server) OfText() *Fault {
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

// OfWriting is nil where the database can be written to. A standby may be promoted yet.
func (s Server) OfWriting() *Fault {
	switch {
	case s.Standby:
		return &Fault{"the server is a standby: nothing can be booked",
			"name all servers and add target_session_attrs=read-write to DATABASE_URL, so that the primary is found"}
	case s.ReadOnly:
		return &Fault{"transactions are read-only: nothing can be booked",
			"take default_transaction_read_only from the database, the role or the server; a disk that is nearly full may be why it is set"}
	}
	return nil
}

// OfCommits is nil where what was committed stays, and is checked.
func (s Server) OfCommits() *Fault {
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

// Unfit is the first fault with which a host does not start, nil where there is none.
func (s Server) Unfit() *Fault {
	for _, f := range []*Fault{s.OfVersion(), s.OfText(), s.OfWriting()} {
		if f != nil {
			return f
		}
	}
	return nil
}

const collationSQL = `
SELECT coalesce(d.datcollversion, ''), coalesce(pg_catalog.pg_database_collation_actual_version(d.oid), '')
FROM pg_catalog.pg_database d WHERE d.datname = current_database()`

// Collation reads the version of the collation that the database's indexes were made
// with, and the one that the machine has now; both are empty before Postgres 15 and where
// a collation has no version. Where they differ, an index of text may miss rows.
func (s Server) Collation(ctx context.Context, db *sql.DB) (made, now string, err error) {
	if s.Number < 150000 {
		return "", "", nil
	}
	if err := db.QueryRowContext(ctx, collationSQL).Scan(&made, &now); err != nil {
		return "", "", fmt.Errorf("read the version of the collation: %w", err)
	}
	return made, now, nil
}
