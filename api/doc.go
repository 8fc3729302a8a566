// Package api is a JSON API for bookings: what can be booked, holding and paying,
// cancelling and rescheduling, and what staff read.
//
// The problem is that a client has to find out what is wrong with its request, all of it
// and by field, and nothing else: neither which bookings exist nor internal errors. So
// requests are decoded strictly, all validation errors are returned at once by field, and
// every error becomes an answer in one place, which logs internal errors and never
// returns them. docs/api.md describes the routes and error codes, and GET /openapi.json
// returns them as OpenAPI 3.1.
//
// An [API] is an http.Handler for any router and any prefix:
//
//	a, err := api.New(api.Deps{...}, api.Options{URL: "https://example.com/booking"})
//	mux.Handle("/booking/", a)
//
// Do not strip the prefix. Where package pages has the same one, mount the API at its own
// paths, see [API.Paths].
//
// A service's own routes can answer as this API does: [BookingDetail], [ResourceOf],
// [SlotOf] and [BookedOf] make the JSON of bookings, resources and slots, and [ErrorOf]
// the status and code of an error.
//
// The sessions of package auth or Options.Guard guard the routes of staff. The owner
// token of a booking proves that it is the customer's.
//
// Amounts are in minor units with the currency in lower case. Times are RFC 3339: those
// of slots with the offset of the resource's time zone, all others in UTC.
//
// What belongs to the server is left out: access log, time limits, protection against
// cross-origin posts, and security headers. See cmd/host for all of them, and
// examples/on-chi for a service on chi.
package api
