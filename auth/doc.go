// Package auth answers, for each request, who sent it, and lets a service end that answer
// at once, everywhere.
//
// A signed token that needs no look-up cannot be taken back: a disabled employee keeps
// access until it runs out. A session in one process's memory is unknown to the replica
// beside it. Here a session is a row in Postgres. The browser holds a random token of 256
// bits; the row's key is an HMAC of it, so who reads the table cannot log in with it. The
// session and its user are looked up with each request, and logging out, ending a user's
// sessions or disabling the user is therefore seen by the next request on any replica.
//
// An existing handler is wrapped:
//
//	a, err := auth.New(db, []string{secret}, auth.Options{})
//	mux.Handle("POST /auth/login", a.LoginHandler())
//	mux.Handle("POST /auth/logout", a.LogoutHandler())
//	mux.Handle("/orders", a.RequireAPI(orders))
//	mux.Handle("/reports", a.RequireAPI(a.RequireRole(auth.RoleAdmin)(reports)))
//	mux.Handle("/dashboard", a.RequirePage(dashboard))
//
// Users are rows of booking_platform.users with argon2id password hashes ([UserTable]),
// or somebody else's through the interface [Users]. Sessions need no password at all:
// [Auth.Start] begins one after a single sign-on.
//
// # What the caller still does
//
// The tables come with the set Auth of package migrations. [Auth.Run] does the background
// work. Nothing here protects against cross-site requests beyond SameSite: wrap
// the whole service in [net/http.CrossOriginProtection], and let no GET change anything.
// The number of logins is limited ([LoginLimits]); behind a proxy Options.ClientAddress
// has to tell the clients apart.
//
// Everything is safe for concurrent use and on several replicas at once. Tokens, cookies,
// passwords and the addresses typed into a login are never logged.
package auth
