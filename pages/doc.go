// Package pages provides the web pages of a booking service: the page that books, those
// that a customer comes back to, and those of staff.
//
// The problem is that a booking page deals with people who go back, double click, lose
// their connection and come back from Stripe before the webhook arrives. So a form
// carries an idempotency key, and visiting a page changes nothing, except that the page
// after paying asks Stripe and applies the answer. It shows what is known, and reloads
// itself until the payment has arrived. There is no JavaScript and nothing inline, so
// that a strict Content-Security-Policy can be set.
//
// Customers read English or French, by what their browser asks for (package locale); the
// pages of staff are in English. A customer who leaves Stripe's page comes back to the
// time that is still held: see docs/DECISIONS/0067. With Options.SendLinks, an address gets
// its links mailed.
//
// [Pages] is an http.Handler for any router and any prefix:
//
//	p, err := pages.New(pages.Deps{...}, pages.Options{URL: "https://example.com/booking"})
//	mux.Handle("/booking/", p)
//
// The address that payments.New is given must be the same, because Stripe sends customers
// back to it. The pages of staff are guarded by the sessions of package auth, whose
// LoginPath must then be the prefix with /login, or by Options.Guard.
//
// The package leaves out what belongs to the server: the access log, time limits of
// requests, protection against cross-origin posts, and security headers. See cmd/host for
// all of them, and examples/on-chi for a service on chi. The look is that of
// static/style.css.
package pages
