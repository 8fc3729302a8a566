// Package security tests the promises of SECURITY.md from outside: three hosts in
// production mode on one Postgres, behind a proxy that terminates TLS. Each promise is a
// subtest. They need Linux, where every address of 127.0.0.0/8 belongs to the machine, so
// that each client has its own, and a process can be given the certificates that it
// trusts.
package security
