// Package checkout takes a wish to book to the point where the customer can pay, for the
// JSON routes and for the pages alike, and makes the links by which customers come back
// to their bookings.
package checkout
