// Package webhook receives Stripe's webhooks so that each event takes effect exactly
// once.
//
// The problem: Stripe sends an event again after every answer outside 2xx, sends some
// twice without a reason, in no order, and for up to three days. A service that changes
// its tables first and notes the event afterwards applies a payment twice when it dies in
// between; one that notes the event first loses it. Checking "have I seen this id" before
// the work lets two deliveries pass at once. And the library's own helper refuses every
// event of another API version, with a valid signature, which loses paid orders on the
// day somebody upgrades the endpoint.
//
// So the event's row in a ledger and the handler's own changes are one transaction:
//
//	BEGIN
//	claim    insert the event's id; no row comes back when it is settled: 200, duplicate
//	handle   your rows change here, in the same transaction
//	COMMIT   200
//
// A delivery that dies anywhere has done nothing, and the next one does the work; a
// delivery that comes twice finds the row. An error or a panic rolls back, is noted
// beside the event, and answers 500 so that Stripe sends it again.
//
// [New] makes a [Receiver], an http.Handler to be mounted where Stripe sends. Nothing may
// read or rewrite the body before it: the signature covers the raw bytes. The table comes
// from the migration set migrations.Webhook. Any number of replicas may serve at once.
// Who owns the transaction, a queue consumer for one, uses [Verify] and [Claim].
//
// # Writing a handler
//
// A handler works inside the transaction it is given and nowhere else. It may run more
// than once for one event (a deadlock, a failed commit, a repeated delivery): only what
// it did through that transaction is undone with it. So it calls no network and sends no
// mail; it writes down what is to be done, and something else does it later. Events come
// in any order: a handler compares states, not times.
//
// An event whose type has no handler is acknowledged as [Ignored]. A handler that finds
// no row the event is about returns [Unmatched]: it is acknowledged and tried again, and
// ends as [Ignored] after Options.UnmatchedFor. One that knows the event is another
// program's, because it lacks the reference that its own carry, returns [Ignored].
//
// # Names and replicas
//
// Options.Name names a receiver. Two services on one database, with an endpoint each at
// Stripe, need two names: each event id has a row for each name, and everything else
// (retries, replays, lists, counts, retention) is by name too. Replicas of one service
// share a name, and may differ during a rolling deployment: a replica without a handler
// for an event records it as [Ignored] and keeps its payload for a week, and a replica
// that has one takes it up, by a later delivery, [Receiver.RetryWaiting] or
// [Receiver.Replay]. It never ends an event that another replica has recorded.
//
// # Many at once
//
// Each event has a transaction of its own. An endpoint that gets more events a second
// than its database commits can have those that wait at the same time share one: see
// [Receiver.HandleTogether].
//
// # Modes, accounts, secrets
//
// A good signature does not say that an event is meant for this program: test events
// reach a live endpoint of Connect, and a forgotten secret of test mode lets all of them
// in. Options.Mode and Options.Accounts say what has an effect; the rest is [Ignored],
// with the reason in the ledger, and events of connected accounts are, unless they are
// listed.
//
// While a secret is being rolled, New takes the new one and the old, in this order.
// Stats.Secrets counts which of them fitted: the old one can go when its count stands
// still.
//
// # Operating
//
// [Receiver.Run] does the background work: [Receiver.RetryWaiting] and
// [Receiver.DeleteOld], which a program with a scheduler of its own calls itself. Without
// it an event that came before its row was committed is never handled. [Waiting] is what
// an alarm reads; [List], [Find], [Receiver.Replay] and [Ignore] are for the person who
// looks at what has failed, is unmatched or parked.
//
// # Time
//
// A delivery that was verified is carried to its end even when the sender has gone away,
// and is answered within Options.Timeout even when the database hangs or a handler
// ignores its context: then the answer is 500, while the transaction goes on in the
// background and keeps its place among the deliveries in flight until it has ended. If it
// commits after all, the next delivery is a duplicate, and that is right.
package webhook
