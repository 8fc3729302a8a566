// Package embedded runs a private Postgres for a program that has none.
//
// The problem is that a new user starts with `go run` on a machine with Go and git, and
// this project needs a real Postgres, so the host brings one: it uses the programs of
// this machine, fetches them where there are none, and runs a cluster below a data
// folder.
//
//	server, err := embedded.Start(ctx, "./.data", embedded.Options{Logger: log})
//	…
//	db, err := sql.Open("postgres", server.URL())
//	…
//	err = server.Stop()
//
// Start starts the same executable again as a guard process, which runs Postgres and
// holds a pipe to its parent. When the parent ends, by kill -9 too, the pipe ends and the
// guard stops Postgres, on every operating system. The guard holds an OS lock on the data
// folder, which Postgres inherits: a process that gets the lock knows that no process of
// an earlier run is left.
//
// The server listens on a free TCP port of the loopback, with a random password in a file
// beside the data (0600). It has no Unix socket: the path of a socket is limited to 104
// bytes on some systems.
//
// Postgres refuses to run as root. Root's server runs inside a user namespace, which can
// reach every folder that root can; where there are none, as the owner of the data, as
// postgres or as nobody.
package embedded
