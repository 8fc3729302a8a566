// Package security tests the promises of SECURITY.md from outside: three hosts in
// production mode on one Postgres, behind a proxy that terminates TLS, over HTTP and by
// the command line. Each promise is a subtest. The package contains only tests, which
// need Linux: every address of 127.0.0.0/8 belongs to the machine, so that each client
// has a different address, and a process can be given the certificates that it trusts.
package security
