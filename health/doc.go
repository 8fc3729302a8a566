// Package health serves the two probes of a load balancer or an orchestrator: liveness
// and readiness.
//
// The problem is that the two must not be confused: restarting a process does not bring
// its database back, and requests to a process without its database fail. So [Live]
// answers 200 while the process runs, and [Ready] only while a check succeeds, for
// example that the database responds and has the right schema.
//
// Another problem is a check that hangs while probes arrive every few seconds, each with
// a connection. So probes share a running check, are answered within a time limit even if
// the check ignores its context, and only a few checks run at once.
//
// Before shutdown, call [Readiness.Drain], wait until the balancer has seen the 503, and
// then stop accepting.
//
// Responses are JSON without details: {"status":"ok"} or {"status":"unavailable"}. The
// reason is logged when readiness changes, and once a minute. The package uses the
// standard library alone, and contains no checks.
package health
