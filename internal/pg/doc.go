// Package pg runs the transactions and statements that this module commits itself.
//
// The problem is that COMMIT may wait. With synchronous replication it waits for the
// standby, and a cancel request then ends the wait: Postgres keeps the commit on the
// primary alone and reports success. Both lib/pq and pgx send one when the context of a
// transaction or statement ends, so a commit reported at a deadline may be lost with the
// primary. So nothing that commits runs under a context that can end: a transaction
// begins without cancellation, its statements run under the caller's context, which is
// checked before COMMIT, and a statement that commits by itself runs without
// cancellation. The caller still returns when its context ends, with [ErrUnconfirmed].
//
// Another problem is that waiting commits occupy connections. So writes take at most
// three quarters of a pool, and a pool that lost a connection to such a wait begins no
// write until no commit waits.
package pg
