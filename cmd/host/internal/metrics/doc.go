// Package metrics exports one host's metrics to Prometheus, on an address of its own.
//
// The problem is that scrapes, from any number of servers, must neither load the database
// nor fail while it is down, and must not contain customers' data. So counters of the
// process are read from memory; the state in the database, of all hosts together, is read
// by at most one query at a time, with a time limit, and reused for a few seconds; and
// labels have a fixed set of values, without ids, addresses or request paths.
//
// docs/metrics.md lists the metrics. A test of the host compares it, the dashboard and
// the alerts in ops/ with what is exported.
package metrics
