// Package testdb gives every test a real Postgres database of its own.
//
// The problem: what this project promises is kept by constraints, locks and isolation levels, which only a real
// Postgres has, and a test that shares a database with another test proves nothing. So each test binary gets one
// server, started when the first test asks for it; the migrations run once, into a template; and each test gets a
// clone of that, in some tens of milliseconds, which is dropped when the test ends.
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
//	func TestHold(t *testing.T) {
//		t.Parallel()
//		db := testdb.New(t)
//		…
//	}
//
// Everything is safe for parallel tests and for several test binaries at once.
package testdb
