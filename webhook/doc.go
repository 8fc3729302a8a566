// Package webhook receives Stripe's webhooks so that each event takes effect exactly
// once.
//
// The problem is that Stripe sends an event again after every response outside 2xx, for
// up to three days, may send an event twice, and guarantees no order. A service that
// changes its tables first and records the event afterwards applies a payment twice when
// it crashes in between; one that records the event first loses it. Checking for the id
// before the work lets two concurrent deliveries pass. And stripe-go's helper rejects
// every event of another API version, which loses paid orders after an upgrade of the
// endpoint. So the event's row in a ledger and the handler's changes are one transaction:
//
//	BEGIN
//	claim    insert the event's id; no row comes back when it is settled: 200, duplicate
//	handle   your rows change here, in the same transaction
//	COMMIT   200
//
// An interrupted delivery has changed nothing, and the next one does the work; a repeated
// delivery finds the row. An error or a panic rolls back, is recorded with the event, and
// answers 500, so that Stripe sends it again.
//
// [New] returns a [Receiver], an http.Handler to mount where Stripe sends. Nothing may
// read the body before it: the signature covers the raw bytes. The table comes from the
// migration set Webhook. A program with its own transactions, such as a queue consumer,
// uses [Verify] and [Ledger.Claim].
//
// # Writing a handler
//
// A handler works in the transaction it is given and nowhere else. It may run more than
// once for one event, and only its changes in that transaction are rolled back: it must
// not call the network or send mail, but record what to do, for another step. Events
// arrive in any order, so compare states, not times.
//
// A handler must not end the transaction. One that does is found, also if it sends COMMIT
// or ROLLBACK as a statement: the answer is 500 with [ErrTransactionEnded], and what was
// not committed is rolled back. An event that was committed too early is [Parked], since
// part of its changes may be missing. Libraries that need a *sql.Tx get it from Tx.SQL.
//
// An event without a handler is acknowledged as [Ignored]. A handler returns [Unmatched]
// if it finds no row for the event, which is then retried until Options.UnmatchedFor, and
// [Ignored] if the event is not its own, for example because it has no
// client_reference_id of yours. In both cases its changes are rolled back.
//
// A type may have several handlers, such as those of package payments and your own for
// subscriptions: each is called until one takes the event, so each must know its own
// rows. See [Receiver.Handle]. [Receiver.HandleOther] is for all other types.
//
// # Names, modes, accounts, secrets
//
// Two services on one database, each with an endpoint at Stripe, need two names: an event
// has a row for each Options.Name. Replicas of one service share a name, and may differ
// during a rolling deployment: what a replica without a handler has [Ignored], one with a
// handler processes within a week, by a later delivery, [Receiver.RetryWaiting] or
// [Receiver.Replay].
//
// A valid signature does not mean that an event is for this program: a live Connect
// endpoint receives test events too. Options.Mode and Options.Accounts select the events
// to process; by default, events of connected accounts are [Ignored].
//
// To rotate a secret, give New the new one, then the old one, and remove that when its
// count in Stats.Secrets no longer grows.
//
// # Operating
//
// [Receiver.Run] does the background work: without it, an event that arrives before its
// row is never processed. It also retries failed events, for a week. Alert on
// [Ledger.Backlog]. [Ledger.List], [Ledger.Find], [Receiver.Replay] and [Ledger.Ignore]
// are for operators. [Receiver.HandleBatch] settles plain events with one statement, for
// endpoints that receive more events than the database can commit one by one.
//
// A verified delivery is processed to the end even when the client disconnects, and
// answered within Options.Timeout even when the database hangs or a handler ignores its
// context. The response is then 500, while the transaction goes on and stays in flight.
// If it commits after all, the next delivery is a duplicate.
//
// The package does not call Stripe, and decodes only those fields of an event's object
// that [Event] has.
//
// examples/webhook-only is a shop with orders of its own that uses nothing else.
// examples/bookings-in-tx has a handler that enqueues a job of River by Tx.SQL, and
// examples/pgx a receiver on a pool of pgx. Tests get a database from package pgtest, and
// a Stripe from payments/stripetest.
package webhook
