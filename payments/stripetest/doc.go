// Package stripetest is a stateful stand-in for Stripe's API: no account, no network, no
// money.
//
// The problem is that the delicate part of a program that uses Stripe Checkout runs out
// of a test's reach: the customer pays on Stripe's page, and the webhook arrives late,
// twice, or in the middle of something else. Recorded responses and mocks only repeat
// their author's assumptions. So this package implements a small Stripe with a memory: an
// [http.Handler] for the real client libraries, with a page on which a person or a test
// pays, declines or leaves, and signed webhooks that are repeated until they are answered
// with a 2xx.
//
// # Use
//
// Serve a [Server], start [Server.Run], and use the address as the URL of a stripe-go
// backend:
//
//	stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: &address})
//
// Tests then act for
//
//   - the customer: [Server.Pay], [Server.PayDelayed] (a bank debit), [Server.Decline]
//     and [Server.Expire];
//   - the banks: [Server.SettlePayment], [Server.FailPayment], [Server.SettleRefund],
//     [Server.FailRefund], [Server.CancelRefund], [Server.Dispute] and
//     [Server.CloseDispute];
//   - the staff in Stripe's dashboard: [Server.RefundFromDashboard];
//   - time: [Server.Advance];
//   - the network: [Server.Fault] for calls; [Server.HoldDelivery],
//     [Server.ReleaseDelivery], [Server.Resend], Options.Deliver and Options.NeverMade
//     for webhooks that are late, reordered, repeated or lost; Options.OnCreate and
//     Options.OnRefund for webhooks that arrive before the response to their call.
//
// [Server.WaitDelivered] replaces sleeps. [Server.Balance], [Server.Charges] and
// [Server.Refunds] are what the program's books are compared with. The examples are whole
// tests. The handler also works below a prefix:
//
//	mux.Handle("/stripe/", http.StripPrefix("/stripe", server)) // Options.PublicURL ends in /stripe
//
// # What it implements
//
//   - POST, GET and list of /v1/checkout/sessions, and /expire; GET of
//     /v1/payment_intents and /v1/charges; POST, GET and list of /v1/refunds; GET and
//     list of /v1/disputes and /v1/events; list of /v1/webhook_endpoints. Objects,
//     errors, pagination, Request-Id and authorization are those of API version
//     2023-10-16.
//   - Parameters are validated as by Stripe: required ones, absolute URLs, expires_at
//     between 30 minutes and 24 hours, currencies, amounts with their last digits,
//     minimum and maximum, lengths of texts. Unknown parameters are an error: none that
//     changes a payment is ignored.
//   - Idempotency keys: the same key and parameters replay the stored response, a 500
//     too; other parameters are an error; a repeat during the first call is a 409; keys
//     are forgotten after 24 hours. Errors about a parameter are not stored, except those
//     found during execution, such as a refund of more than is left.
//   - A payment intent and a charge exist once the customer has paid or started a delayed
//     payment. Both have the metadata of payment_intent_data.
//   - A refund reduces what can be refunded when it is made, pending or not, and restores
//     it when it fails or is canceled. Errors: more than is left, a charge refunded in
//     full, an open dispute, a charge that disputes took in full.
//   - A refund sends refund.created and charge.refunded (whose charge has no list of
//     refunds); settling, failing or canceling it sends refund.updated and
//     charge.refund.updated.
//   - A delayed payment completes its session unpaid, and sends
//     checkout.session.async_payment_succeeded or _failed later.
//   - A charge can have several disputes, each of all that was not refunded or of a part.
//     A dispute withdraws its amount and sends charge.dispute.created and
//     .funds_withdrawn, later .closed, and .funds_reinstated unless lost. An inquiry
//     withdraws nothing, leaves the charge refundable, and can become a dispute.
//   - Webhooks are signed, repeated with a new signature after anything but a 2xx
//     (redirects are not followed), and given up after three days, in no guaranteed
//     order. The page waits for a webhook's first response, up to ten seconds, before it
//     redirects.
//   - Events are listed for 30 days, by delivery_success, type, types and created.
//     Without a webhook URL all count as undelivered.
//
// Responses and parameters are checked against Stripe's published description of its API
// in this package's tests.
//
// # What it leaves out
//
// Only mode "payment" with inline prices: no customers, products, subscriptions, taxes,
// coupons, shipping, Connect, fees, payouts, balance transactions or evidence of
// disputes. The parameter expand has no effect. Events are those named above with
// checkout.session.completed and .expired: no payment_intent.*, no charge.succeeded, and
// no previous_attributes. A declined card leaves no failed charge. Everything is kept in
// memory, the newest 10,000 of each kind of object, event and idempotency key; only the
// Balance still counts what was forgotten.
package stripetest
