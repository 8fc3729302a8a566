// Package metrics is what Prometheus reads of one host, at an address of its own.
//
// Whoever runs several hosts at night wants a graph and an alarm, and neither may become
// a load or a leak. So the counters of this process are read from memory; what the
// database knows, of all hosts together, is read by one query at a time, in bounded time,
// and kept for a few seconds, however many ask; and while the database is down a scrape
// answers all the same. Labels have few values, all of them from this program: no ids, no
// addresses of customers, no paths as they were asked for.
//
// docs/metrics.md lists the series; a test of the host holds the list, the dashboard and
// the alarms in ops/ to what is really exposed.
package metrics
