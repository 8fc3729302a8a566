// Package api is the host's JSON routes: booking, what can be booked, and what operators
// read.
//
// The problem: a program on the other side of a route needs to know what it did wrong,
// all of it, and in which field; and nobody may learn from a route more than it is meant
// to tell.
//
// So bodies are read strictly, every problem is reported by field at once, and errors
// become answers in one place ([API.fail]), which says nothing of what went wrong inside.
// Money is in minor units with the currency in lower case; times are RFC 3339 with the
// offset that the resource's time zone has then.
package api
