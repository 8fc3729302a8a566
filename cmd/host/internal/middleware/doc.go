// Package edge is what every request of the host passes before a route sees it, and every
// answer on its way out.
//
// The problem: what must hold for all routes (an id on each log line, a panic that is one
// failed request and not the end of all, headers, time limits, no posts from other sites)
// is forgotten on the next route when each has to ask for it.
//
// [Handler] wraps the router once. [LogHandler] gives every log line the id of the
// request it belongs to, in whatever package it is written, as long as that package logs
// with the request's context. [NewServer] sets the limits that lie below HTTP.
package middleware
