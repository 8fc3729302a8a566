// Package testdb gives every test a real Postgres database of its own.
//
// The problem: what this project promises is kept by constraints, locks and isolation
// levels, which only a real Postgres has, and a test that shares a database with another
// test proves nothing. So each test binary gets one server, started when the first test
// asks for it; the migrations run once, into a template; and each test gets a clone of
// that, in some tens of milliseconds, which is dropped when the test ends.
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
//	func TestHold(t *testing.T) {
//		t.Parallel()
//		db := testdb.New(t)
//		…
//	}
//
// Everything is safe for parallel tests and for several test binaries at once. Where the
// server comes from, in this order:
//
//  1. url: TEST_DATABASE_URL, a server where the role may create databases. Set but broken fails, and nothing else is tried.
//  2. container: a container engine, by testcontainers, with the image POSTGRES_IMAGE (default postgres:16-alpine).
//  3. programs: Postgres programs on this machine, 14 or later.
//  4. fetched: programs fetched into the user's cache folder, from EMBEDDED_POSTGRES_REPOSITORY or Maven Central.
//
// A server of our own (3 and 4) keeps its data in /dev/shm where that is in memory and
// has 2 GiB free, else below TMPDIR.
//
// TEST_DATABASE_WAY names one of them, and then no other is tried. Which one it became,
// and why not an earlier one, stands on stderr (go test shows that with -v, and when a
// test fails). If none works every test fails and says what was tried. No test is ever
// skipped for want of a database.
//
// TEST_DATABASE_POOLER=pgbouncer puts a PgBouncer in transaction mode in front of
// whichever server it is. See [Direct].
//
// TEST_DATABASE_SETTINGS gives every database, empty or migrated, defaults of its own, as
// ALTER DATABASE and ALTER ROLE do: default_transaction_isolation=serializable;
// timezone=Asia/Kolkata.
package testdb
