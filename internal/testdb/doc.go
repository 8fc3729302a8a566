// Package testdb gives the tests of this project a database of their own, by package
// pgtest, and what only this project tests: the drivers of embedders in all their modes,
// a pooler, and counts of round trips.
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
//	func TestHold(t *testing.T) {
//		t.Parallel()
//		db := testdb.New(t)
//		…
//	}
//
// The variables of pgtest apply. TEST_DATABASE_POOLER=pgbouncer puts a PgBouncer in
// transaction mode in front of the server. See [Direct].
package testdb
