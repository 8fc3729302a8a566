// Package doctor examines a host before it goes live, and after it was deployed.
//
// The problem: what keeps a host from selling, or lets it sell for nothing, is seldom in
// its code. It is a test key in production, an endpoint at Stripe that was never
// subscribed to refunds, a pool that is larger than what the server lets in, a proxy that
// nobody told the host of. Each is found at once by who looks, and by nobody else until a
// customer has paid.
//
// [Examine] looks at the configuration, the database, Stripe's account and what is left
// undone, from beside a running host or without one, and changes nothing. [Visit] looks
// at a running host over HTTP, as its customers do, and pays for a booking there if it is
// asked to. Both return findings: each has a level, a name that stays, what was found,
// and what to do about it. docs/doctor.md explains them all.
//
// A check that cannot be made is a finding, and the others go on. Each has a time limit,
// and no secret is in what they say.
package doctor
