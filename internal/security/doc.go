// Package security asks of a running service what its page on security promises, from
// outside alone: three hosts in production on one Postgres, behind a proxy that ends TLS,
// asked over HTTP and by the command line. Each promise is a test of its own, by its
// words. It holds nothing but tests, which need Linux: there every address of 127.0.0.0/8
// is this machine's, so that each client comes from one of its own, and a process can be
// told whom to trust for a certificate.
package security
