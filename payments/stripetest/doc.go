// Package stripetest is a Stripe to test against: no account, no network, no
// money.
//
// A program that takes money through Stripe Checkout has its most delicate code
// where a test cannot reach it: the customer pays on Stripe's page, and Stripe
// tells the program about it later, twice, or in the middle of something else.
// Recorded answers and interface mocks test the program against what its author
// already believed. This package is a small Stripe with a memory instead. It is
// an [http.Handler] that the real client libraries talk to over HTTP, it shows a
// page on which a person (or a test) pays, declines or leaves, and it sends
// signed webhooks again and again until they are answered with a 2xx.
//
// # Use
//
// Serve a [Server] somewhere, start [Server.Run] beside it, and give stripe-go
// the address as the URL of a backend:
//
//	stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: &address})
//
// Tests then act for everybody else:
//
//   - for the customer with [Server.Pay], [Server.PayDelayed] (a bank debit),
//     [Server.Decline] and [Server.Expire];
//   - for the banks with [Server.SettlePayment], [Server.FailPayment],
//     [Server.SettleRefund], [Server.FailRefund], [Server.CancelRefund], [Server.Dispute]
//     and [Server.CloseDispute];
//   - for the colleague in Stripe's dashboard with [Server.RefundFromDashboard];
//   - for time with [Server.Advance];
//   - for the network with [Server.Fault], and by delivering webhooks late, in another
//     order, twice or never: [Server.HoldDelivery] and [Server.ReleaseDelivery],
//     [Server.Resend], Options.Deliver and Options.NeverMade. Options.OnCreate and
//     Options.OnRefund let a webhook arrive before the answer to the call that caused it.
//
// [Server.WaitDelivered] takes the place of a sleep. [Server.Balance],
// [Server.Charges] and [Server.Refunds] are the truth that the program's own
// books are compared with in the end. The examples show whole tests. The handler
// also runs below a prefix:
//
//	mux.Handle("/stripe/", http.StripPrefix("/stripe", server)) // Options.PublicURL ends in /stripe
//
// # Where it is like Stripe
//
//   - POST, GET and list of /v1/checkout/sessions, and /expire; GET of
//     /v1/payment_intents and /v1/charges by id; POST, GET and list of /v1/refunds; GET
//     and list of /v1/events; list of /v1/webhook_endpoints: with API version
//     2023-10-16's objects, errors, pagination, Request-Id and authorization.
//   - What it knows it checks as Stripe does: required parameters, absolute URLs,
//     expires_at between 30 minutes and 24 hours, currencies, amounts with their last
//     digits, minimum and maximum (its account is paid out in whatever currency is
//     charged), and lengths of texts. What it does not know it refuses as an unknown
//     parameter; it never accepts and ignores one that changes what a payment does.
//   - Idempotency keys: the same key and parameters replay the stored answer, a 500 too,
//     other parameters are refused, a repeat while the first is still being answered is a
//     409, and keys are forgotten after 24 hours. An answer that refuses a parameter is
//     not stored, unless the refusal comes from executing the call: a refund of more than
//     is left.
//   - A payment intent and a charge exist once the customer has paid or set out to. Both
//     have the metadata of payment_intent_data.
//   - A refund is taken off what can be refunded when it is made, pending or not, and
//     given back when it fails or is canceled. More than is left, a charge refunded in
//     full, one with a dispute that is open, and one of which disputes took all are
//     refused.
//   - A refund makes refund.created and charge.refunded (whose charge has no list of
//     refunds); settling, failing or canceling it makes refund.updated and
//     charge.refund.updated.
//   - A delayed payment completes its session unpaid, and makes
//     checkout.session.async_payment_succeeded or _failed later.
//   - A charge can have several disputes, of all that was not refunded or of a part. Each
//     takes its amount back, and makes charge.dispute.created and .funds_withdrawn, then
//     .closed, and .funds_reinstated unless it is lost. An inquiry takes nothing, leaves
//     the charge refundable, and can become a dispute. Disputes can be listed and
//     retrieved.
//   - Webhooks are signed, sent again with a fresh signature after anything but a 2xx
//     (redirects are not followed), and given up after three days. Their order is not
//     guaranteed. The page waits for a webhook's first answer, ten seconds at most,
//     before it sends the customer back.
//   - Events can be asked for during 30 days, by delivery_success, type, types and
//     created. Without a webhook URL all of them count as undelivered.
//
// Answers and parameters are checked against the description that Stripe
// publishes of its API, in this package's tests.
//
// # What it leaves out
//
// Mode "payment" with inline prices is all there is: no customers, products,
// subscriptions, taxes, coupons or shipping, no Connect, no fees, payouts or
// balance transactions, no evidence in disputes. The parameter expand is accepted
// without effect. Only the events named above are made, checkout.session.completed
// and .expired among them: no payment_intent.* and no charge.succeeded; and they
// carry no previous_attributes. A declined card leaves no failed charge behind.
// Everything is kept in memory, the newest 10,000 of each kind of object, of
// events and of idempotency keys, and ends with the process; only the Balance
// goes on counting what was forgotten.
package stripetest
