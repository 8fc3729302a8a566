// Package payments takes payments for bookings through Stripe Checkout, and applies each
// payment once.
//
// The problem is that the customer pays on Stripe's page and the result arrives by
// webhook: late, twice, out of order, before the call that created the session has
// returned, or after the hold has expired. That call may also succeed while its answer is
// lost. A service that trusts the browser's return, the order of events, or a second
// attempt with new parameters sells a slot for nothing or charges twice.
//
// So the payment row is committed first, with a snapshot of the call's parameters. Then
// Stripe is called, outside any transaction, with an idempotency key derived from the
// row, so that a repeat sends the same bytes. What Stripe reports later is applied in the
// webhook's transaction, together with its ledger row, as facts that are never removed,
// except that the decision about a parked payment replaces its amount. The status of a
// payment is derived from these facts, so the order of events does not matter.
//
//	p, err := payments.New(db, bookings, key, "https://example.com", payments.Options{})
//	p.Register(receiver)                 // a webhook.Receiver; apply Stripe's events to bookings
//	mux.Handle("POST /webhook", receiver)
//	go p.Run(ctx, receiver)              // with bookings.Run and receiver.Run
//	booked, err := p.Book(ctx, booking.HoldRequest{…}) // send the customer to booked.URL
//
// Price and currency come from the booking; no client input reaches them. Money that
// comes after the hold has expired takes the slot again if it is still free. Money that
// cannot be applied, because the slot is gone or another session was paid, is refunded in
// full, once. A payment of another amount is parked for an operator. While a dispute is
// open nothing is refunded; what a lost dispute took counts as refunded.
//
// A refund starts as a row, limited to what was paid and committed together with its
// cause ([Payments.Cancel], [Payments.Refund], an event). A background step then makes it
// at Stripe. Stripe's answers to refunds and Checkouts are classified by one table each,
// in stripeclient.go. A 404 never settles anything: a key of another account or mode gets
// it too.
//
// [Payments.Run] runs the background steps. With a scheduler of your own, run these every
// five seconds; without work each costs one or two statements:
//
//	p.ExpireSessions(ctx) // expire sessions whose hold is gone
//	p.SettleRefunds(ctx)  // make the refunds that are due
//	p.RefreshRefunds(ctx) // read refunds from Stripe after an event mentioned them
//
// and this one every minute:
//
//	p.ReconcilePayments(ctx) // ask Stripe about overdue payments
//
// These list Stripe's objects of the last 30 days; run the first every five minutes, the
// others every fifteen:
//
//	p.FetchUndelivered(ctx, receiver) // process events that were not delivered
//	p.DiscoverRefunds(ctx)            // find refunds without an event
//	p.DiscoverDisputes(ctx)           // find disputes without an event
//
// All steps are safe on every replica at once, and pause after an answer with
// Retry-After.
//
// Locks are taken in the order resource, booking, payment, refund. The tables are those
// of migrations.Payments; other tables may refer to booking_platform.payments (id).
//
// To join your own order with a booking, hold inside your transaction (booking.Store.Tx),
// insert the order with the booking's id, commit, and then call [Payments.Checkout].
// Options.OnTransition runs in the transaction that confirms the booking: mark your order
// as paid there ([TransitionPaid]). Its [Tx] has the *sql.Tx of every change, for a job
// queue or an ORM, because each change is made in a transaction of a receiver's or of this
// package's own.
//
// The package has no HTTP routes or pages, sends no mail, and knows no taxes or invoices.
//
// examples/booking-shop is a service with orders of its own that uses it.
package payments
