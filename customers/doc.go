// Package customers exports and erases the personal data of one customer.
//
// The problem is that a customer's name and address are in more than the bookings: in the
// parameters of Checkout Sessions, in the payloads of Stripe's events, in reasons that
// staff wrote, in hashes and in user accounts. Each package erases its own tables
// (booking.Store.Erase, payments.Payments.Erase, webhook.Ledger.Erase,
// auth.UserTable.Delete); this package calls them in the order that a crash between two
// of them cannot spoil, and says why a customer cannot be erased yet.
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
// Amounts, dates, statuses and Stripe's ids stay, because the books need them. Set
// webhook.Options.Erased to payments.Payments.IsErased, so that an event which arrives
// later, such as a dispute, does not bring the customer back.
//
// Old bookings are erased without a request by booking.Options.PersonalDataFor,
// payments.Options.PersonalDataFor and webhook.Options.PersonalDataFor.
//
// Erase your own tables after Erase has returned nil, so that a crash in between leaves
// the address by which a repetition finds the rest. If your users can change their
// address, erase each address that their bookings have: see [Customers.Email].
//
// What the package leaves out: customers at Stripe, logs, backups, mails, and the tables
// of the program that embeds it. docs/privacy.md lists where customers' data is kept.
package customers
