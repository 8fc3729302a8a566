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
// Tests then act for the customer with [Server.Pay], [Server.Decline] and
// [Server.Expire], for time with [Server.Advance], and for Stripe's stubbornness
// with [Server.Resend]; [Server.WaitDelivered] takes the place of a sleep, and
// Options.OnCreate lets a webhook arrive before the answer to the call that
// created its session. The example shows a whole test. The handler also runs
// below a prefix:
//
//	mux.Handle("/stripe/", http.StripPrefix("/stripe", server)) // Options.PublicURL ends in /stripe
//
// Faults on the way to Stripe need no option: wrap the handler, and answer 500
// before calling it (nothing happened there) or after (it happened, the answer
// was lost).
//
// # Where it is like Stripe
//
//   - POST, GET and list of /v1/checkout/sessions and /expire, with API version
//     2023-10-16's objects, errors, pagination, Request-Id and authorization.
//   - What it knows it checks as Stripe does: required parameters, absolute
//     URLs, expires_at between 30 minutes and 24 hours, currencies, amounts and
//     their minimum. What it does not know it refuses as an unknown parameter;
//     it never accepts and ignores one that changes what a payment does.
//   - Idempotency keys: the same key and parameters replay the stored answer,
//     other parameters are refused, a repeat while the first is still being
//     answered is a 409, and keys are forgotten after 24 hours. An answer that
//     refuses a parameter is not stored.
//   - Webhooks are signed, sent again with a fresh signature after anything but
//     a 2xx (redirects are not followed), and given up after three days. Their
//     order is not guaranteed. The page waits for a webhook's first answer, ten
//     seconds at most, before it sends the customer back.
//
// # What it leaves out
//
// Mode "payment" with inline prices is all there is: no customers, products,
// subscriptions, taxes, coupons or shipping, no
// Events to ask for, no delayed payment methods, no Connect, and the
// parameter expand is accepted without effect. Everything is kept in memory, the
// newest 10,000 sessions, events and idempotency keys each, and ends with the
// process.
package stripetest
