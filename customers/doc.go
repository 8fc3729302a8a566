// Package customers exports and erases the personal data of one customer.
//
// The problem is that a customer's name and address are not in the bookings alone: they
// are in the parameters of Checkout Sessions, Stripe's events, reasons that staff wrote,
// hashes and user accounts. Each package erases its own tables (booking.Store.Erase,
// payments.Payments.Erase, webhook.Ledger.Erase, auth.UserTable.Delete); this package
// calls them in an order that a crash in between cannot spoil, and says why a customer
// cannot be erased yet.
//
//	people, err := customers.New(customers.Parts{
//		Bookings: bookings, Payments: pay, Users: users,
//		Ledgers: []*webhook.Ledger{receiver.Ledger()},
//	}, customers.Options{})
//	report, err := people.Erase(ctx, "ada@example.com", customers.EraseOptions{})
//	if errors.Is(err, customers.ErrNotYet) {
//		// Nothing was erased; report.NotYet says why.
//	}
//
// Amounts, dates, statuses and Stripe's ids stay for the books. Set
// webhook.Options.Erased to payments.Payments.IsErased, so that a later event, such as a
// dispute, does not bring the customer back.
//
// Old bookings are erased without a request by booking.Options.PersonalDataFor,
// payments.Options.PersonalDataFor and webhook.Options.PersonalDataFor.
//
// Erase your own tables after Erase has returned nil: after a crash in between, the
// address is still there for a repetition. If users can change their address, erase each
// address that their bookings have, see [Customers.Email].
//
// Customers at Stripe, logs, backups, mails and the embedder's tables are left out.
// docs/privacy.md lists where customers' data is kept.
package customers
