// Package auth identifies the user of each request by a session, which can be ended at
// any time on every replica.
//
// The problem is that a signed token without a look-up cannot be revoked: a disabled
// employee keeps access until it expires. So a session is a row in Postgres, looked up
// with its user for each request. The browser holds a random token of 256 bits; the row's
// key is an HMAC of it, so the table's content cannot be used to log in.
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
// Users are rows of booking_platform.users with argon2id hashes ([UserTable]), or come
// from another table through [Users]. [Auth.Start] starts a session without a password,
// after a single sign-on for example. [LoginLimits] bounds logins.
//
// # What it leaves to the caller
//
// The tables come from the migration set Auth. Call [Auth.Run] for the background work.
// Behind a proxy, set Options.ClientAddress. Cookies are SameSite; for more protection
// from cross-site requests wrap the service in [net/http.CrossOriginProtection], and
// change nothing on GET.
//
// Tokens, cookies, passwords and the addresses typed into a login are never logged.
//
// examples/auth-sso is a service with users of its own and single sign-on.
package auth
