// Package embedded runs a private Postgres for a program that has none.
//
// The problem: the first thing a new user does is `go run`, on a machine with Go and git,
// and what this project promises only a real Postgres can keep. So the host brings one:
// it looks for the programs on this machine, fetches them where there are none, and runs
// a cluster of its own below a data folder. Nobody has to know, until something goes
// wrong, and then one message says what to do.
//
//	server, err := embedded.Start(ctx, "./.data", embedded.Options{Logger: log})
//	…
//	db, err := sql.Open("postgres", server.URL())
//	…
//	err = server.Stop()
//
// Who owns what. Start does not run Postgres itself: it starts the same executable again
// as a guard, which holds a pipe to its parent. The pipe ends when the parent does, kill
// -9 included, on every operating system; then the guard stops Postgres and goes. The
// guard holds an OS lock on the data folder, which Postgres inherits: while anything of a
// former run is alive the folder is held, and once the lock is ours nothing is.
//
// How it is reached. Over TCP on the loopback, on a port that was free, with a random
// password that is kept beside the data (0600): a socket's path may have 104 bytes on
// some systems, and folders have more. Nobody else on the machine can log in.
//
// Root. Postgres refuses to run as root, so it runs as somebody else: inside a user
// namespace where root has another number, which can go wherever root can (a clone under
// /root included); else as the owner of the data, postgres or nobody.
package embedded
