// Package stripetest is a stateful stand-in for Stripe's API: no account, no network, no
// money.
//
// The problem is that the delicate part of a program that uses Stripe Checkout is out of
// a test's reach: the customer pays on Stripe's page, and the webhook arrives late,
// twice, or in the middle of something else. Recorded responses and mocks only repeat
// their author's assumptions. So this package is a small Stripe with a memory: an
// [http.Handler] for the real client libraries, a page on which a person or a test pays,
// declines or leaves, and signed webhooks that are repeated until they are answered with
// a 2xx.
//
// # Use
//
// [Start] serves and runs a [Server] until a test ends. Its address is the URL of a
// stripe-go backend:
//
//	stand := stripetest.Start(t, webhookHandler)
//	url := stand.URL()
//	stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{URL: &url})
//
// A program serves a Server from [New] itself, and starts [Server.Run]. Tests then act
// for
//
//   - the customer: [Server.Pay], [Server.PayDelayed] (a bank debit), [Server.Decline]
//     and [Server.Expire]; [Server.PayIntent], [Server.PayIntentDelayed] and
//     [Server.DeclineIntent] in a Payment Element;
//   - the banks: [Server.SettlePayment], [Server.FailPayment], [Server.SettleIntent],
//     [Server.FailIntent], [Server.SettleRefund], [Server.FailRefund],
//     [Server.CancelRefund], [Server.Dispute] and [Server.CloseDispute];
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
//	// Options.PublicURL ends in /stripe.
//	mux.Handle("/stripe/", http.StripPrefix("/stripe", server))
//
// # What it implements
//
//   - POST, GET and list of /v1/checkout/sessions, and /expire; POST, GET and list of
//     /v1/payment_intents, /confirm and /cancel; GET of /v1/charges; POST, GET and list
//     of /v1/refunds; GET and list of /v1/disputes and /v1/events; list of
//     /v1/webhook_endpoints. Objects, errors, pagination, Request-Id and authorization
//     are those of API version 2023-10-16, or of Options.APIVersion.
//   - Parameters are validated as by Stripe: URLs, expires_at, currencies, amounts
//     (last digits, minimum, maximum), lengths. Unknown parameters are an error.
//   - Idempotency keys: the same key and parameters replay the stored response, a 500
//     too; other parameters are an error; a repeat during the first call is a 409; keys
//     are forgotten after 24 hours. Errors about a parameter are not stored, unless
//     found during execution, such as a refund of more than is left.
//   - A payment intent of a call is paid, declined or canceled by Server's methods or by
//     calls with a test payment method, and sends payment_intent.created, .processing,
//     .succeeded, .payment_failed and .canceled. It is captured automatically.
//   - A session's payment intent and charge exist once the customer has paid or started
//     a delayed payment, which completes the session unpaid and sends
//     checkout.session.async_payment_succeeded or _failed later.
//   - A refund, pending or not, reduces what can be refunded until it fails or is
//     canceled. It sends refund.created and charge.refunded; settling, failing or
//     canceling it sends refund.updated and charge.refund.updated.
//   - A charge can have several disputes, of all that was not refunded or a part. One
//     withdraws its amount and sends charge.dispute.created and .funds_withdrawn, later
//     .closed, and .funds_reinstated unless lost; no refund is possible while it is
//     open. An inquiry withdraws nothing, and can become a dispute.
//   - Webhooks are signed, repeated with a new signature after anything but a 2xx, and
//     given up after three days, in no guaranteed order. The page waits up to ten
//     seconds for a webhook's first response before it redirects.
//   - Events are listed for 30 days. Without a webhook URL all count as undelivered.
//
// [Options].APIVersion is for services with a newer stripe-go, whose
// webhook.ConstructEvent refuses events of 2023-10-16: set it to that stripe-go's
// APIVersion.
//
// Tests compare responses and parameters with Stripe's published description of its API.
//
// # What it leaves out
//
// Only mode "payment" with inline prices: no customers, products, subscriptions, taxes,
// invoices, coupons, shipping, Connect, fees, payouts, balance transactions or dispute
// evidence. Some of these parameters are accepted and kept in [Session.Parameters],
// without an effect; expand has none either. No other events are sent than those above
// and checkout.session.completed and .expired, and none has previous_attributes; those of
// a session's payment intent only with Options.IntentEvents. A card declined on the pay
// page leaves no charge. Everything is kept in memory, the newest 10,000 of each kind;
// only the Balance still counts what was forgotten.
package stripetest
