// Package pg holds what every package of this module does with Postgres: the transactions
// and single statements it commits by itself, and the SQLSTATE of an error.
//
// The problem is that COMMIT may wait. With synchronous replication a commit waits for
// the standby, and a cancel request at that moment ends the wait: Postgres keeps the
// commit on the primary alone and reports success. Both lib/pq and pgx send a cancel
// request when the context of a transaction or of a statement ends, so an answer given at
// the end of a deadline may be lost with the primary. So nothing that commits here is run
// under a context that can end: a transaction is begun under a context without
// cancellation, its statements run under the caller's, and the caller's context is asked
// before COMMIT. A statement that commits by itself runs under a context without
// cancellation as a whole. The caller still returns when its context ends, with
// [ErrUnconfirmed].
//
// The second problem is that commits which wait occupy connections. So writes take at
// most three quarters of a pool and reads go on, and a pool that lost a connection to
// such a wait begins no write until no commit waits any more.
package pg
