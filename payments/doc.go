// Package payments takes the money for a booking through Stripe Checkout, and makes sure
// that it is applied once.
//
// The problem: a customer pays on somebody else's page, and the news arrives by webhook:
// late, twice, before our own call has returned, or after the hold has ended. The call
// that creates the Checkout Session may succeed at Stripe and fail on the way back.
// Whoever trusts the browser's return, the order of events, or a second attempt with new
// parameters, sells a slot for nothing or takes money twice.
//
// So the payment row is committed first, with the parameters of the call frozen in it;
// then Stripe is called, outside any transaction, with an idempotency key derived from
// the row, and a repeat sends the same bytes. What Stripe says later is applied inside
// the webhook's transaction, together with its ledger row, as facts that only grow. The
// status of a payment is derived from those facts.
//
//	p, err := payments.New(db, bookings, os.Getenv("STRIPE_SECRET_KEY"), "https://example.com", payments.Options{})
//	p.Register(receiver)                     // what a Stripe event does to a booking
//	checkout, err := p.Checkout(ctx, held.ID) // where to send the customer
//
// Price and currency come from the booking, which took them from its resource; nothing a
// client sends reaches them.
//
// Money that comes too late takes its slot again, where that is still free. Money that
// cannot be applied (the slot is gone, or another session has paid) goes back in full,
// once; an amount that differs is parked for a person. Of money that comes after a
// customer has cancelled, the fee of the policy is kept.
//
// A payment can be disputed, more than once. While a dispute is open nothing is refunded;
// what a lost one took counts as given back.
//
// A refund is an intent first: a row, bounded by what was paid, committed together with
// its cause ([Payments.Cancel], [Payments.Refund], an event). A step has Stripe make it.
// [Payments.Run] runs the background steps. Those who schedule the single steps
// themselves run these every five seconds; with nothing to do each costs one statement:
//
//	p.ExpireSessions(ctx)  // end what can still be paid for slots that are gone
//	p.SettleRefunds(ctx)   // make the refunds that are due
//	p.RefreshRefunds(ctx)   // find out about refunds that Stripe has hinted at
//
// This one asks Stripe about single payments whose time is over; run it every minute:
//
//	p.ReconcilePayments(ctx)       // settle payments of which no event has come
//
// These list up to 30 days at Stripe in each run, and count against its rate limit; run
// the first every five minutes, the others every fifteen:
//
//	p.FetchUndelivered(ctx, receiver) // take the events that were not delivered
//	p.DiscoverRefunds(ctx)               // find refunds of which no event has come
//	p.DiscoverDisputes(ctx)              // find disputes, and their ends, of which no event has come
//
// Each step is safe on every replica at once. Beside them run receiver.Run and the steps
// of booking.
//
// [Payments.FetchSince] takes every event since a time, delivered or not: once, after a
// backup was restored.
//
// Where Stripe asks to be left alone (Retry-After), the steps of that process do so. Each
// call at Stripe ends within Options.Timeout.
//
// What follows from each answer of Stripe's to a refund or a Checkout is in one table,
// answers.go. An object that Stripe does not know (404) ends nothing: a key of another
// account or mode is answered the same. Several services with accounts of their own may
// share a database: see Options.Account.
//
// Options.OnTransition is called, in the transaction that makes it, for each thing that
// happens to a payment: there an embedder writes the row of an invoice or a mail. See
// [Transition].
//
// Locks are taken in the order resource, booking, payment, refund. The tables are those
// of migrations.Payments; other tables may refer to booking_platform.payments (id).
package payments
