// Package doctor checks a host before it goes live and after a deployment.
//
// The problem is that what keeps a host from selling, or lets it sell for nothing, is
// seldom in its code: a test key in production, an endpoint at Stripe without refund
// events, a pool larger than the server allows, a proxy that TRUST_PROXY does not
// mention. Such mistakes are easy to check for, and otherwise surface only when a
// customer pays. So [Examine] checks the configuration, the database, the Stripe account
// and the backlog, without changing anything, and [SmokeTest] checks a running host over
// HTTP and can make one payment. docs/doctor.md lists the findings.
//
// Each check has a time limit; one that fails is a finding, and the others run. Findings
// never contain secrets. The package leaves out what the tests of the host assert, such
// as headers and guards of routes.
package doctor
