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
// # Background steps
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
// With Options.PersonalDataFor, run this one every hour:
//
//	p.ErasePast(ctx) // erase the customers of payments whose booking ended long ago
//
// All steps are safe on every replica at once, and pause after an answer with
// Retry-After.
//
// Locks are taken in the order resource, booking, payment, refund. The tables are those
// of migrations.Payments; other tables may refer to booking_platform.payments (id).
//
// # Money that comes another way
//
// [Payments.Adopt] binds a PaymentIntent of your own, for a Payment Element, to a held
// booking: hold, make the PaymentIntent with the booking's id as metadata booking_id,
// adopt it, and give its client secret to the browser. [Payments.RefreshIntent] is for
// the page to which the customer returns. All that is said of a Checkout holds for it.
//
// [Payments.RecordDesk] confirms a booking that was paid at the desk, in cash or by a
// terminal. Stripe is never called; [Payments.MarkRefundPaid] records that staff have
// paid a refund. [Payments.BookPaid] holds and confirms at once, for staff who enter a
// booking that was paid at the desk, or whose row was lost while its payment exists at
// Stripe.
//
// # Other products on the same Stripe account
//
// What you sell besides bookings, such as subscriptions, needs no second endpoint: add
// handlers of your own to the receiver, before or after [Payments.Register]. Checkout
// Sessions, refunds and disputes that this package does not know are passed on to them;
// without such a handler, foreign sessions are ignored and raise no alarm. The example of
// Register has such a handler. Only events of [EventTypes] are fetched from Stripe if
// they were not delivered ([Payments.FetchUndelivered]), those of your products included.
//
// # Orders of your own
//
// Book holds the slot in a transaction of its own, so it cannot join yours. Store your
// order first, and give its id to Book as HoldRequest.Reference and IdempotencyKey: a
// repeat of the request finds the same booking and session, and every [Transition] names
// the order as Booking.Reference. Or hold inside your transaction (booking.Store.Tx),
// insert the order with the booking's id there, commit, and call [Payments.Checkout];
// Options.Admit and OnBook belong to Book and are not called then.
//
// A repeat with the key of a booking that has expired or was cancelled finds that
// booking: look at its status before you send the customer to Stripe's page, and give a
// new attempt a new key.
//
// Options.OnTransition runs in the transaction of each change. What concerns an order:
//
//	paid                       fulfil it, write the invoice
//	unapplied                  the money came too late or twice and goes back: do not fulfil
//	parked                     another amount came: keep the order until an operator decided
//	failed, expired            it was not paid in time, or its hold was cancelled; paid may
//	                           still follow an expired one
//	processing                 a delayed payment method is under way, for days
//	cancelled                  the confirmed booking was cancelled
//	refund_due                 a refund was decided
//	refunded, refund_failed    money went back, or did not: write or void the credit note
//	disputed, dispute_closed   for your accounts; Payment.Lost is what a dispute took
//
// Transitions come in the order of Stripe's events: refunded may precede paid, and then
// paid is about a booking that is cancelled already. So do not store Kind as the state of
// the order, and fulfil only what is confirmed: Payment and Booking of the [Transition]
// are as its transaction leaves them, whatever the order.
//
//	-- $1 is t.Payment.Status(), $2 is t.Booking.Status.
//	UPDATE orders SET payment = $1, booking = $2 WHERE id = $3
//
// Its [Tx] has the *sql.Tx of every change, for a job queue or an ORM, because each
// change is made in a transaction of a receiver's or of this package's own.
//
// # The Checkout Session
//
// Options.Texts, SuccessPath and CancelPath set what the customer reads and where Stripe
// sends the customer. Options.ShapeCheckout adds other parameters: an existing customer,
// payment methods, taxes, an invoice, a Connect destination. It cannot change the amount
// or how the payment is matched.
//
// # What it leaves out
//
//   - Subscriptions, saved cards charged later, deposits, and authorizations that are
//     captured by hand: a booking is paid in full, once, by a Checkout Session, by a
//     PaymentIntent of yours ([Payments.Adopt]), or at the desk ([Payments.RecordDesk]).
//   - Discounts, promotion codes, gift cards, tips and shipping: lower the booking's price
//     before the Checkout. Carts of several bookings.
//   - Tax rates and invoices. Stripe can compute the tax that is in the price and make
//     invoices, see Options.ShapeCheckout; invoices of your own belong in
//     Options.OnTransition, and those of Stripe get no credit notes.
//   - Connect as a platform: no accounts are created, no direct charges made, and no
//     transfers but a destination's, which a refund reverses. Events of connected accounts
//     are not handled.
//   - Evidence in disputes, fees, payouts and reports: use Stripe's dashboard.
//   - HTTP routes and pages (packages api and pages), mails, and payment providers other
//     than Stripe.
//
// examples/booking-shop is a service with orders of its own that uses it;
// examples/bookings-in-tx enqueues jobs of River in OnTransition.
package payments
