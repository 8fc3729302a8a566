// Package middleware is the host's HTTP middleware and server limits.
//
// The problem is that some things must hold for every route (a request id on each log
// line, recovery from panics, headers, time limits, no cross-origin posts), and a route
// that has to ask for them forgets. So [Handler] wraps the router once, and [LogHandler]
// adds the request id to every line that is logged with the request's context, in any
// package. [NewServer] and [Connections] limit slow clients below HTTP.
package middleware
