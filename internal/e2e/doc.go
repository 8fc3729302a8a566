// Package e2e tests the host from outside: the real binary, started as its users start
// it, booked over HTTP, paid on the stand-in's page, killed at chosen moments.
package e2e
