// Package health answers the two questions a balancer or an orchestrator asks a service:
// are you alive, and may I send you requests?
//
// The two must not be mixed. A process that is restarted because its database went away
// does not bring the database back, and a process that is sent requests while its
// database is away answers them with errors. So [Live] says 200 while the process runs,
// whatever the state of anything else, and [Ready] says 200 only while a check of your
// choice succeeds: that the database answers and has the schema this binary needs, say.
//
// A check can hang, and a probe comes every few seconds: without care the probes pile up
// behind a database that does not answer, each with a connection. Here callers share the
// check that is running, an answer comes within a time limit even when the check ignores
// its context, and only a few checks are ever in flight.
//
// Before it shuts down, a service calls [Readiness.Drain], waits until its balancer has
// seen the 503, and stops accepting after that.
//
// Bodies are JSON and carry no detail: {"status":"ok"} or {"status":"unavailable"}. The
// reason goes to the logger, once when readiness is lost and once when it returns, not
// with every probe.
//
// The package needs the standard library only.
package health
