// Package auth identifies the user of each request by a session, which can be ended at
// any time on every replica.
//
// The problem is that a signed token without a look-up cannot be revoked: a disabled
// employee keeps access until it expires. So a session is a row in Postgres. The browser
// holds a random token of 256 bits, and the row's key is an HMAC of it, so that the
// table's content cannot be used to log in. The session and its user are looked up for
// each request: a logout or disabling the user takes effect with the next request on any
// replica.
//
// Wrap existing handlers:
//
//	a, err := auth.New(db, []string{secret}, auth.Options{})
//	mux.Handle("POST /auth/login", a.LoginHandler())
//	mux.Handle("POST /auth/logout", a.LogoutHandler())
//	mux.Handle("/orders", a.RequireAPI(orders))
//	mux.Handle("/reports", a.RequireAPI(a.RequireRole(auth.RoleAdmin)(reports)))
//	mux.Handle("/dashboard", a.RequirePage(dashboard))
//
// Users are rows of booking_platform.users with argon2id password hashes ([UserTable]),
// or come from another table through the interface [Users]. [Auth.Start] starts a session
// without a password, after a single sign-on for example. Logins are limited: see
// [LoginLimits].
//
// # What it leaves to the caller
//
// The tables come from the migration set Auth. Call [Auth.Run] for the background work.
// Behind a proxy, set Options.ClientAddress. Against cross-site requests there is only
// SameSite: wrap the service in [net/http.CrossOriginProtection], and change nothing on
// GET.
//
// Tokens, cookies, passwords and the addresses typed into a login are never logged.
//
// examples/auth-sso is a service with users of its own and single sign-on.
package auth
